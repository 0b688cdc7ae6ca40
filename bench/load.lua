-- The load of one row for wrk: method, body and connection handling from the arguments; afterwards one line of JSON
-- with wrk's own figures. No response() callback: it would make wrk parse every header and become the bottleneck.
--   wrk … -s load.lua URL -- METHOD UPLOAD_BYTES keep-alive|close

function init(arguments)
  local method, upload, connection = arguments[1], tonumber(arguments[2]), arguments[3]
  wrk.method = method
  if upload > 0 then
    wrk.body = string.rep("abcdefghijklmnop", math.ceil(upload / 16)):sub(1, upload)
  end
  if connection == "close" then
    wrk.headers["Connection"] = "close"
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'BENCH {"duration_us": %d, "requests": %d, "bytes": %d, "p50_us": %d, "p99_us": %d, '
      .. '"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}\n',
    summary.duration, summary.requests, summary.bytes,
    latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
