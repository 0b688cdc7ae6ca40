// What all sessions of one worker share: the loop, the pools of memory and connections, scratch
// space, and the configuration in use. Owned by the service; used on the worker's thread only.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "core/intrusive_list.h"
#include "core/metrics.h"
#include "core/slab.h"
#include "io/io.h"
#include "io/pipe_pool.h"
#include "io/tls_engine.h"
#include "proxy/access_log.h"
#include "proxy/block_pool.h"
#include "proxy/http_date.h"
#include "proxy/local_pool.h"
#include "proxy/message.h"
#include "proxy/request_id.h"
#include "proxy/service.h"
#include "proxy/snapshot.h"
#include "rules/path_reading.h"

namespace shunt::proxy {

class Exchange;
class Mirrors;
class Session;
class UpstreamPool;
struct AwaitsRequest;

// A snapshot in use by this worker. Exchanges hold it by a plain count, so that a reload costs a
// request nothing.
struct Generation {
  std::shared_ptr<const Snapshot> snapshot;
  std::vector<LocalPool*> pools;  // Parallel to the snapshot's.
  uint32_t exchanges = 0;
};

inline constexpr size_t kBodyScratchSize = 64 * 1024;
inline constexpr size_t kBlocksKept = 64;

struct Context {
  Context(io::Io& io_loop, Metrics& worker_metrics, AccessLog& access_log)
      : io(io_loop), metrics(worker_metrics), log(access_log) {}

  io::Io& io;
  Metrics& metrics;
  AccessLog& log;
  UpstreamPool* upstreams = nullptr;
  Mirrors* mirrors = nullptr;
  Generation* generation = nullptr;  // What new requests use.
  bool draining = false;
  std::unique_ptr<io::TlsEngine> tls;              // From the first snapshot with TLS on.
  IntrusiveList<Session, AwaitsRequest> awaiting;  // A request, longest first.

  BlockPool blocks{kBlocksKept};
  io::PipePool pipes{io, kPipesMax};
  rules::RuleSet::Scratch rule_scratch;
  std::string path_scratch;
  std::string sni_scratch;
  HttpDate date;
  rules::PathScratch reading_scratch;
  RequestIds request_ids;

  // What a rule makes of target and Host; valid within one callback only.
  std::string target_scratch;
  std::string host_scratch;

  // Scratch, valid within one callback only: heads are large, and one at a time is enough for a
  // thread.
  RequestHead request_head;
  ResponseHead response_head;
  std::array<char, kBlockSize> head_scratch;        // Heads on their way out.
  std::array<char, kBodyScratchSize> body_scratch;  // Bodies on their way through.
};

}  // namespace shunt::proxy
