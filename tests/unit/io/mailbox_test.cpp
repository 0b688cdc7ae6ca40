// Messages from other threads: order, bound, none lost, none after the end.
#include "io/mailbox.h"

#include <atomic>
#include <thread>

#include "loop_fixture.h"

namespace shunt::io {
namespace {

BOOST_AUTO_TEST_SUITE(mailbox)

struct Inbox {
  std::vector<int32_t> kinds;
  static void on_message(void* owner, const Message& message) {
    static_cast<Inbox*>(owner)->kinds.push_back(message.kind);
  }
};

LOOP_TEST(bounded_and_in_order) {
  const auto box = std::move(*Mailbox::create(3));
  Inbox inbox;
  for (int32_t kind = 1; kind <= 3; ++kind) BOOST_TEST(box->send({.kind = kind}));
  BOOST_TEST(!box->send({.kind = 4}));
  box->listen(*io, Inbox::on_message, &inbox);  // What was sent before is not lost.
  run_until([&] { return inbox.kinds.size() == 3; });
  BOOST_TEST((inbox.kinds == std::vector<int32_t>{1, 2, 3}));
  BOOST_TEST(box->send({.kind = 5}));
  run_until([&] { return inbox.kinds.size() == 4; });

  box->stop();
  run_until([&] { return !box->listening(); });
  BOOST_TEST(box->send({.kind = 6}));
  turn();
  BOOST_TEST(inbox.kinds.size() == 4u);
}

LOOP_TEST(threads_wake_a_sleeping_loop) {
  constexpr int kThreads = 4;
  constexpr int32_t kEach = 2000;
  const auto box = std::move(*Mailbox::create(16));
  Inbox inbox;
  box->listen(*io, Inbox::on_message, &inbox);
  std::vector<std::jthread> senders;
  for (int32_t t = 0; t < kThreads; ++t)
    senders.emplace_back([&box, t] {
      for (int32_t i = 0; i < kEach; ++i)
        while (!box->send({.kind = t * kEach + i})) std::this_thread::yield();
    });
  run_until([&] { return inbox.kinds.size() == size_t{kThreads * kEach}; });
  std::vector<int32_t> next(kThreads);
  bool in_order = true;
  for (const int32_t kind : inbox.kinds)
    in_order = in_order && next[static_cast<size_t>(kind / kEach)]++ == kind % kEach;
  BOOST_TEST(in_order);
  box->stop();
  run_until([&] { return !box->listening(); });
}

BOOST_FIXTURE_TEST_CASE(close_delivers_what_is_queued_and_refuses_the_rest, LoopFixture) {
  const auto box = std::move(*Mailbox::create(3));
  Inbox inbox;
  box->listen(*io, Inbox::on_message, &inbox);
  BOOST_TEST(box->send({.kind = 1}));
  BOOST_TEST(box->send({.kind = 2}));
  box->close();
  BOOST_TEST((inbox.kinds == std::vector<int32_t>{1, 2}));
  BOOST_TEST(!box->send({.kind = 3}));
  run_until([&] { return !box->listening(); });
  BOOST_TEST(inbox.kinds.size() == 2u);
}

// A message handler may end the mailbox: the rest of the batch still arrives, no further wait is
// begun.
LOOP_TEST(handler_may_stop) {
  struct Stopper {
    Mailbox* box;
    int count = 0;
  } stopper{.box = nullptr};
  const auto box = std::move(*Mailbox::create(8));
  stopper.box = box.get();
  BOOST_TEST(box->send({}));
  BOOST_TEST(box->send({}));
  box->listen(
      *io,
      [](void* owner, const Message&) {
        auto& self = *static_cast<Stopper*>(owner);
        ++self.count;
        self.box->stop();
      },
      &stopper);
  run_until([&] { return stopper.count == 2; });
  BOOST_TEST(!box->listening());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
