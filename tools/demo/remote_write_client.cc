#include "tools/demo/remote_write_client.h"

#include <algorithm>
#include <protozero/pbf_writer.hpp>
#include <thread>

#include "engine/base/compress.h"

namespace basalt::demo {

std::string EncodeWriteRequest(const std::vector<Labels>& series, std::span<const Point> points) {
  std::string bytes;
  protozero::pbf_writer request(bytes);
  for (size_t i = 0; i < points.size();) {
    protozero::pbf_writer one(request, 1);
    for (const Label& label : series[points[i].series]) {
      protozero::pbf_writer pair(one, 1);
      pair.add_string(1, label.name);
      pair.add_string(2, label.value);
    }
    for (const size_t current = points[i].series; i < points.size() && points[i].series == current;
         ++i) {
      protozero::pbf_writer sample(one, 2);
      sample.add_double(1, points[i].value);
      sample.add_int64(2, points[i].time_ms);
    }
  }
  return bytes;
}

RemoteWriteClient::RemoteWriteClient(http::Url base_url, std::vector<Labels> series)
    : client_(std::move(base_url)), series_(std::move(series)) {}

Status RemoteWriteClient::Send(std::span<const Point> points, Duration patience) {
  std::string body;
  BASALT_TRY(Compress(ContentCoding::kSnappy, EncodeWriteRequest(series_, points), body));
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"Content-Type", "application/x-protobuf"},
      {"Content-Encoding", "snappy"},
      {"X-Prometheus-Remote-Write-Version", "0.1.0"}};
  Duration pause{50};
  Duration waited{0};
  for (;;) {
    const auto response = client_.Send("POST", "/api/v1/write", headers, body);
    if (response.ok() && response->status / 100 == 2) return OkStatus();
    const bool again = !response.ok() || response->status == 429 || response->status / 100 == 5;
    const Status status =
        response.ok() ? Unavailable("remote write: HTTP " + std::to_string(response->status) +
                                    ": " + response->body)
                      : response.status();
    if (!again || waited >= patience) return status;
    std::this_thread::sleep_for(pause);
    waited += pause;
    pause = std::min<Duration>(pause * 2, std::chrono::seconds(5));
  }
}

}  // namespace basalt::demo
