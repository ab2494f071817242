#include <openssl/evp.h>

#include <fstream>
#include <iterator>

#include "engine/notify/receivers.h"

namespace basalt::notify {
namespace {

constexpr size_t kMaxSecretBytes = 64u << 10;

Result<std::string> ReadSecret(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Unavailable("secret file " + path + ": cannot be opened");
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) return Unavailable("secret file " + path + ": cannot be read");
  if (text.size() > kMaxSecretBytes) return Unavailable("secret file " + path + ": above 64 KiB");
  // Editors end files with a new line.
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.pop_back();
  if (text.empty()) return Unavailable("secret file " + path + ": is empty");
  return text;
}

std::string Base64(const std::string& text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

}  // namespace

Result<std::string> AuthorizationHeader(const Credentials& credentials) {
  if (!credentials.username.empty()) {
    std::string password = credentials.password;
    if (!credentials.password_file.empty()) {
      BASALT_TRY_ASSIGN(password, ReadSecret(credentials.password_file));
    }
    return "Basic " + Base64(credentials.username + ":" + password);
  }
  std::string secret = credentials.credentials;
  if (!credentials.credentials_file.empty()) {
    BASALT_TRY_ASSIGN(secret, ReadSecret(credentials.credentials_file));
  }
  return secret.empty() ? std::string() : credentials.type + " " + secret;
}

}  // namespace basalt::notify
