// TLS of one worker: makes and frees its TLS connections, lends them memory for what goes out, and
// limits how many handshakes run in a turn, so that a flood of them starves no request. Owned by
// the worker, used on its thread only; nothing in it is shared between workers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/assert.h"
#include "core/slab.h"
#include "io/io.h"
#include "io/tls_stream.h"
#include "io/tls_tickets.h"

struct bio_method_st;
struct ossl_lib_ctx_st;

namespace shunt::io {

class TlsServerContext;
class TlsClientContext;
struct TlsClientFiles;
struct TlsContextUse;
struct TlsServerFiles;

class TlsEngine {
 public:
  // Steps of handshakes in one turn of the loop; the most expensive one signs, which takes half a
  // millisecond with RSA.
  static constexpr uint32_t kStepsPerTurn = 8;
  // Plain bytes of one record (RFC 8446 §5.1), and of one write to the socket.
  static constexpr size_t kRecordSize = 16 * 1024;
  static constexpr size_t kWriteSize = 64 * 1024;
  // Bytes for which it pays to let the kernel take a connection over.
  static constexpr uint64_t kTakeOverMinimum = 64 * 1024;

  // `tickets` are those of the process.
  TlsEngine(Io& io, TlsTicketKeys& tickets);
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;
  ~TlsEngine();  // Requires that all streams have been freed.

  // Whether connections that begin from here on may be taken over by the kernel (tls_kernel.h).
  void use_kernel(bool use) { use_kernel_ = use; }

  // The contexts for these files, made now or when the same files were asked for before. Null if
  // memory is short: the files have been tried out. They stay until a forget_unwanted() that no
  // context_of() has gone before since the last one, and until the last of their streams is freed.
  TlsServerContext* context_of(const TlsServerFiles& files);
  TlsClientContext* context_of(const TlsClientFiles& files);
  void keep(TlsServerContext& context);  // As context_of() for its files.
  void begin_generation();
  void forget_unwanted();

  // Null if memory is short. Given back with free().
  TlsStream* accept(TlsServerContext& context, Fd fd);
  TlsStream* connect(TlsClientContext& context, Fd fd, const TlsPeer& peer);
  void free(TlsStream& stream);

  size_t streams() const { return streams_.in_use(); }
  Io& io() { return io_; }

 private:
  friend class TlsStream;
  friend class TlsBio;

  struct MethodFree {
    void operator()(bio_method_st* method) const;
  };

  struct LibraryFree {
    void operator()(ossl_lib_ctx_st* library) const;
  };

  TlsStream* make(SslHandle ssl, Fd fd, TlsContextUse& use);
  // Whether `stream` may do a step of its handshake now; otherwise it asks again in the next turn.
  bool may_step(TlsStream& stream);

  // What OpenSSL has encrypted in the call that is running.
  struct Outgoing {
    static constexpr size_t kRoom = kWriteSize + 2 * kRecordSize;
    std::array<char, kRoom> bytes;
    size_t size = 0;
  };

  Io& io_;
  TlsTicketKeys& tickets_;
  // A world of OpenSSL's own for each worker: its locks and counts are then ours alone.
  std::unique_ptr<ossl_lib_ctx_st, LibraryFree> library_;
  std::unique_ptr<bio_method_st, MethodFree> method_;
  std::vector<std::unique_ptr<TlsServerContext>> servers_;
  std::vector<std::unique_ptr<TlsClientContext>> clients_;
  Slab<TlsStream> streams_;
  Instant turn_time_ = kNever;  // Of the turn of the last handshake step,
  uint64_t turn_ = 0;           // its number,
  uint32_t steps_ = 0;          // and the steps in it.
  bool use_kernel_ = false;
  Outgoing outgoing_;
  std::array<char, kRecordSize> record_;  // Small parts on their way into one record.
};

}  // namespace shunt::io
