// What a TLS connection takes from its caller and what it keeps, over a socket that takes anything
// from a byte on: whatever is reported, each byte arrives once, and none is reported as sent that
// may still be here.
#include <poll.h>

#include <boost/test/unit_test.hpp>
#include <chrono>

#include "core/wall_clock.h"
#include "io/stream.h"
#include "io/tls_context.h"
#include "io/tls_engine.h"
#include "sim/sim_io.h"
#include "sim/tls_end.h"

namespace shunt::io {
namespace {

using namespace shunt::sim;

std::string text_of(Random& random, size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random.below(256));
  return text;
}

// A server that sends `text` in gathered parts of any size, as the socket has room.
class Sender {
 public:
  Sender(SimIo& io, std::string text) : io_(io), engine_(io, tickets_), text_(std::move(text)) {
    bind<&Sender::on_accept>(accept_, *this);
    bind<&Sender::on_handshake>(ready_, *this);
    listener_ = io.listen(*SocketAddress::parse("10.0.0.1:443"));
    io.accept(accept_, listener_);
  }
  ~Sender() {
    io_.cancel(accept_);
    if (ready_.submitted) io_.cancel(ready_);
    io_.settle();
    if (stream_.is_open()) stream_.close_reset(io_);
    io_.close(listener_);
  }

  Fd listener() const { return listener_; }
  bool done() const { return sent_ == text_.size(); }
  int cut_short() const { return cut_short_; }

 private:
  void on_accept(int32_t fd) {
    if (fd < 0) return;
    stream_.open(fd);
    BOOST_REQUIRE(stream_.accept_tls(engine_, *engine_.context_of(tls_server_files())));
    stream_.handshake(ready_);
  }

  void on_handshake(int32_t result) {
    BOOST_REQUIRE(result == 0);
    bind<&Sender::on_room>(ready_, *this);
    send();
  }

  void on_room(int32_t result) {
    if (result > 0) send();
  }

  void send() {
    while (!done()) {
      // In memory of its own, gone after the call: nothing may be read from it later.
      std::string copy = text_.substr(sent_, 1 + io_.random().below(20'000));
      const size_t first = io_.random().below(copy.size() + 1);
      const iovec parts[] = {{copy.data(), first}, {copy.data() + first, copy.size() - first}};
      const int64_t taken = stream_.send_now(io_, parts);
      if (taken == -EAGAIN) return wait();
      BOOST_REQUIRE(taken > 0);
      BOOST_REQUIRE(static_cast<size_t>(taken) <= copy.size());
      if (stream_.holds_unsent()) BOOST_REQUIRE(static_cast<size_t>(taken) < copy.size());
      if (static_cast<size_t>(taken) < copy.size()) ++cut_short_;
      sent_ += static_cast<size_t>(taken);
      if (stream_.holds_unsent()) return wait();
    }
    BOOST_TEST(!stream_.holds_unsent());
    stream_.shutdown_write(io_);
  }

  void wait() { stream_.poll(io_, ready_, POLLOUT); }

  SimIo& io_;
  TlsTicketKeys tickets_{wall_clock_ms() / 1000};
  TlsEngine engine_;
  const std::string text_;
  Fd listener_ = -1;
  Op accept_;
  Op ready_;
  Stream stream_;
  size_t sent_ = 0;
  int cut_short_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(tls_stream)

BOOST_AUTO_TEST_CASE(each_byte_arrives_once_however_sends_are_cut) {
  int cut_short = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      SimIo io(SimOptions::from_seed(seed));
      const std::string text = text_of(io.random(), 1 + io.random().below(40'000));
      Sender sender(io, text);
      SimPeer& peer = io.connect(sender.listener());
      TlsEnd client(peer, TlsEnd::Side::kClient);
      io.run_until([&] { return peer.over(); }, std::chrono::hours(1));
      BOOST_TEST(sender.done());
      BOOST_TEST(peer.ended());
      BOOST_TEST((client.received() == text));
      cut_short += sender.cut_short();
    }
  }
  BOOST_TEST(cut_short > 20);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::io
