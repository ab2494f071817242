// Sends metrics of every kind with OpenTelemetry's SDK: node send.mjs <grpc|proto|json> <url> <service> <rounds> <interval ms>
// Prints {"exports": n, "failures": [..]} when done.
import { OTLPMetricExporter as GrpcExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { AggregationTemporalityPreference, OTLPMetricExporter as JsonExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as ProtoExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';

const [transport, url, service, rounds, interval] = process.argv.slice(2);
const Exporter = { grpc: GrpcExporter, proto: ProtoExporter, json: JsonExporter }[transport];
const exporter = new Exporter({ url, temporalityPreference: AggregationTemporalityPreference.CUMULATIVE });

// Counts what becomes of every export.
const outcome = { exports: 0, failures: [] };
const send = exporter.export.bind(exporter);
exporter.export = (metrics, done) =>
  send(metrics, (result) => {
    outcome.exports += 1;
    if (result.code !== 0) outcome.failures.push(String(result.error));
    done(result);
  });

const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1e9, exportTimeoutMillis: 10000 });
const provider = new MeterProvider({
  readers: [reader],
  resource: resourceFromAttributes({ 'service.name': service, 'service.instance.id': 'js-1', 'deployment.zone': 'z' }),
  views: [{ instrumentName: 'e2e.native', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
});
const meter = provider.getMeter('e2e', '1.0');
const requests = meter.createCounter('e2e.requests', { description: 'Requests.' });
const queue = meter.createUpDownCounter('e2e.queue');
const duration = meter.createHistogram('e2e.duration', { unit: 's', advice: { explicitBucketBoundaries: [0.1, 1] } });
const native = meter.createHistogram('e2e.native', { unit: 'ms' });
const temperature = meter.createObservableGauge('e2e.temperature', { unit: 'Cel' });
temperature.addCallback((observed) => observed.observe(21.5, { room: 'cellar' }));

for (let round = 0; round < Number(rounds); ++round) {
  requests.add(3, { method: 'GET' });
  queue.add(round % 2 === 0 ? 2 : -1);
  for (const value of [0.05, 0.5, 5]) duration.record(value);
  native.record(10 + round);
  await reader.forceFlush().catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, Number(interval)));
}
console.log(JSON.stringify(outcome));
process.exit(0);
