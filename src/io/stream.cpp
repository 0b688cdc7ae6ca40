// Where a stream begins and ends to speak TLS.
#include "io/stream.h"

#include "io/tls_engine.h"

namespace shunt::io {

bool Stream::accept_tls(TlsEngine& engine, TlsServerContext& context) {
  SHUNT_ASSERT(is_open());
  SHUNT_ASSERT(tls_ == nullptr);
  tls_ = engine.accept(context, fd_);
  return tls_ != nullptr;
}

bool Stream::connect_tls(TlsEngine& engine, TlsClientContext& context, const TlsPeer& peer) {
  SHUNT_ASSERT(is_open());
  SHUNT_ASSERT(tls_ == nullptr);
  tls_ = engine.connect(context, fd_, peer);
  return tls_ != nullptr;
}

void Stream::end_tls(bool goodbye) {
  if (goodbye) tls_->say_goodbye();
  std::exchange(tls_, nullptr)->free();
}

}  // namespace shunt::io
