// The slab: stable addresses, last in first out, the limit, and that destructors run.
#include "core/slab.h"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

namespace shunt {
namespace {

struct Counted {
  explicit Counted(int& alive, int number = 0) : alive_(alive), value(number) { ++alive_; }
  ~Counted() { --alive_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  int& alive_;
  int value;
};

struct alignas(64) Aligned {
  char byte = 0;
};

BOOST_AUTO_TEST_SUITE(slab)

BOOST_AUTO_TEST_CASE(the_object_freed_last_is_made_next) {
  int alive = 0;
  Slab<Counted> slab(0, 4);
  Counted* a = slab.make(alive, 1);
  Counted* b = slab.make(alive, 2);
  BOOST_TEST(a + 1 == b);
  slab.free(a);
  slab.free(b);
  BOOST_TEST(slab.make(alive) == b);
  BOOST_TEST(slab.make(alive) == a);
  BOOST_TEST(alive == 2);
  slab.free(a);
  slab.free(b);
  BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(the_maximum_is_kept_and_freeing_makes_room) {
  int alive = 0;
  Slab<Counted> slab(3, 2);
  Counted* objects[] = {slab.make(alive), slab.make(alive), slab.make(alive)};
  BOOST_TEST(slab.make(alive) == nullptr);
  BOOST_TEST(alive == 3);
  BOOST_TEST(slab.in_use() == 3u);
  slab.free(objects[1]);
  objects[1] = slab.make(alive);
  BOOST_TEST(objects[1] != nullptr);
  for (Counted* object : objects) slab.free(object);
  BOOST_TEST(slab.in_use() == 0u);
}

BOOST_AUTO_TEST_CASE(objects_are_distinct_and_keep_their_value_while_others_come_and_go) {
  int alive = 0;
  Slab<Counted> slab(0, 16);
  std::vector<Counted*> live;
  std::vector<int> values;
  std::mt19937 random(1);
  size_t most = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (live.empty() || random() % 9 < 5) {
      live.push_back(slab.make(alive, i));
      values.push_back(i);
      most = std::max(most, live.size());
      continue;
    }
    const size_t at = random() % live.size();
    BOOST_REQUIRE(live[at]->value == values[at]);
    slab.free(live[at]);
    live[at] = live.back();
    values[at] = values.back();
    live.pop_back();
    values.pop_back();
  }
  BOOST_TEST(std::set<Counted*>(live.begin(), live.end()).size() == live.size());
  BOOST_TEST(slab.in_use() == live.size());
  BOOST_TEST(slab.capacity() <
             most + 16);  // No more chunks than the most that lived at once needs.
  for (Counted* object : live) slab.free(object);
  BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(alignment_is_that_of_the_type) {
  Slab<Aligned> slab(0, 3);
  Aligned* objects[] = {slab.make(), slab.make(), slab.make(), slab.make()};
  for (Aligned* object : objects) {
    BOOST_TEST(reinterpret_cast<uintptr_t>(object) % 64 == 0u);
    slab.free(object);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt
