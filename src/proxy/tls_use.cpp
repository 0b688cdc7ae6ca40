// Makes the contexts that a snapshot wants, and forgets the others. See the header.
#include "proxy/tls_use.h"

#include "io/tls_kernel.h"

namespace shunt::proxy {

// Contexts are made of files that prepare() has tried out: only memory can be short.
void use_tls(Context& context, std::span<const std::unique_ptr<ListenerState>> listeners) {
  const Snapshot& snapshot = *context.generation->snapshot;
  if (snapshot.has_tls() && context.tls == nullptr)
    context.tls = std::make_unique<io::TlsEngine>(context.io, *snapshot.tickets);
  if (context.tls == nullptr) return;
  io::TlsEngine& tls = *context.tls;
  tls.use_kernel(snapshot.config.global.ktls == config::KernelTls::kAuto &&
                 io::kernel_tls().available);
  tls.begin_generation();
  for (const auto& state : listeners) {
    // Clients still come to a listener that is leaving.
    if (state->index == config::kNone) {
      if (state->tls != nullptr) tls.keep(*state->tls);
      continue;
    }
    const auto* files =
        snapshot.listener_tls.empty() ? nullptr : snapshot.listener_tls[state->index].get();
    state->tls = files != nullptr ? tls.context_of(*files) : nullptr;
    SHUNT_ASSERT(files == nullptr || state->tls != nullptr);
  }
  for (const auto& files : snapshot.server_tls) {
    const bool made = tls.context_of(*files) != nullptr;
    SHUNT_ASSERT(made);
  }
  tls.forget_unwanted();
}

}  // namespace shunt::proxy
