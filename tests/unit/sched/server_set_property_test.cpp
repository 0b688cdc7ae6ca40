// Random histories of a ServerSet under every scheduler, against a naive model of the counts, the
// thresholds and the list, and against what no scheduler may ever do.
#include <algorithm>
#include <map>
#include <random>

#include "farm.h"
#include "sched/registry.h"

namespace shunt::sched::test {
namespace {

struct ModelServer {
  int32_t weight = 0;
  uint32_t upper = 0;
  uint32_t lower = 0;
  uint32_t active = 0;
  uint32_t inactive = 0;
  bool listed = false;
  bool overload = false;
  uint32_t total() const { return active + inactive; }
  uint32_t clears_below() const { return lower != 0 ? lower : upper - upper / 4; }
};

struct Bound {
  Server* server;
  char name;
  Counted as;
};

class History {
 public:
  History(std::string_view scheduler, uint32_t seed)
      : scheduler_(scheduler), random_(seed), farm_(scheduler) {}

  void run(int steps) {
    for (step_ = 0; step_ < steps; ++step_) {
      const uint32_t action = below(20);
      if (action < 2) {
        add_or_remove();
      } else if (action < 4) {
        edit();
      } else if (action < 6) {
        move();
      } else if (action < 12) {
        unbind();
      } else {
        schedule();
      }
      check();
    }
  }

 private:
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }
  char any_name() { return static_cast<char>('A' + below(6)); }

  void set_limits(ModelServer& model) {
    model.weight = static_cast<int32_t>(below(6));
    const uint32_t upper = below(3) == 0 ? 0 : below(9);
    const uint32_t lower = upper == 0 ? 0 : below(upper + 1);
    if (upper == model.upper && lower == model.lower) return;
    model.upper = upper;
    model.lower = lower;
    if (upper == 0 || model.total() < model.clears_below()) model.overload = false;
    if (upper != 0 && model.total() >= upper) model.overload = true;
  }

  void add_or_remove() {
    const char name = any_name();
    ModelServer& model = models_[name];
    if (model.listed) {
      farm_->remove(farm_[name]);
      order_.erase(order_.find(name), 1);
      model.listed = false;
      return;
    }
    set_limits(model);
    farm_.add(name, model.weight, model.upper, model.lower);
    order_.insert(order_.begin(), name);
    model.listed = true;
  }

  void edit() {
    const char name = any_name();
    ModelServer& model = models_[name];
    if (!model.listed) return;
    set_limits(model);
    farm_.edit(name, model.weight, model.upper, model.lower);
  }

  void move() {
    if (bound_.empty()) return;
    Bound& bound = bound_[below(static_cast<uint32_t>(bound_.size()))];
    const bool active = bound.as == Counted::kActive;
    const Counted to = active ? Counted::kInactive : Counted::kActive;
    farm_->move(*bound.server, bound.as, to);
    bound.as = to;
    models_[bound.name].active += active ? -1u : 1u;
    models_[bound.name].inactive += active ? 1u : -1u;
  }

  void unbind() {
    if (bound_.empty()) return;
    const uint32_t index = below(static_cast<uint32_t>(bound_.size()));
    const Bound bound = bound_[index];
    bound_.erase(bound_.begin() + index);
    ModelServer& model = models_[bound.name];
    --(bound.as == Counted::kActive ? model.active : model.inactive);
    if (model.total() < model.clears_below()) model.overload = false;
    farm_->unbind(*bound.server, bound.as);
  }

  void schedule() {
    Flow flow{.source = below(40), .destination = below(40)};
    const Server* refused = nullptr;
    uint64_t refused_ids[] = {0};
    if (below(4) == 0 && !order_.empty()) {
      refused = &farm_[order_[below(static_cast<uint32_t>(order_.size()))]];
      refused_ids[0] = refused->id;
      flow.excluded = refused_ids;
    }
    const Counted as = below(2) == 0 ? Counted::kActive : Counted::kInactive;
    const std::string preview = farm_.preview(flow);
    Server* server = farm_->schedule(flow, as);
    BOOST_REQUIRE_MESSAGE((server == nullptr) == preview.empty(), where());
    if (server == nullptr) {
      BOOST_REQUIRE_MESSAGE(may_refuse(refused), where());
      return;
    }
    const char name = server->spec.name[0];
    ModelServer& model = models_[name];
    BOOST_REQUIRE_MESSAGE(preview[0] == name, where());
    BOOST_REQUIRE_MESSAGE(server != refused, where());
    BOOST_REQUIRE_MESSAGE(model.listed, where());
    BOOST_REQUIRE_MESSAGE(model.weight > 0, where());
    BOOST_REQUIRE_MESSAGE(!model.overload || scheduler_ == "lblc", where());
    if (!expected().empty()) BOOST_REQUIRE_MESSAGE(name == expected_pick(refused), where());
    ++(as == Counted::kActive ? model.active : model.inactive);
    if (model.total() == model.upper) model.overload = true;
    bound_.push_back({server, name, as});
  }

  // Hashing without a fallback and ovf may refuse although a server is eligible; nobody else.
  bool may_refuse(const Server* refused) {
    if (scheduler_ == "dh" || scheduler_ == "sh" || scheduler_ == "mh" || scheduler_ == "ovf") {
      return true;
    }
    return std::ranges::none_of(order_, [&](char name) { return eligible(name, refused); });
  }

  bool eligible(char name, const Server* refused) {
    const ModelServer& model = models_[name];
    return !model.overload && model.weight > 0 && &farm_[name] != refused;
  }

  // The schedulers that minimise load per weight, for the model to follow in exact fractions.
  std::string_view expected() const {
    return scheduler_ == "wlc" || scheduler_ == "lc" || scheduler_ == "sed" || scheduler_ == "fo"
               ? scheduler_
               : std::string_view();
  }

  char expected_pick(const Server* refused) {
    char best = '-';
    long double best_load = 0;
    for (const char name : order_) {
      if (!eligible(name, refused)) continue;
      const ModelServer& model = models_[name];
      const auto overhead = static_cast<long double>(257 * model.active + model.inactive);
      const auto weight = static_cast<long double>(model.weight);
      long double load = overhead / weight;
      if (scheduler_ == "lc") load = overhead;
      if (scheduler_ == "sed") load = static_cast<long double>(model.active + 1) / weight;
      if (scheduler_ == "fo") load = -weight;
      if (best == '-' || load < best_load) {
        best = name;
        best_load = load;
      }
    }
    return best;
  }

  void check() {
    std::string listed;
    for (const Server* server : farm_->servers()) {
      const char name = server->spec.name[0];
      const ModelServer& model = models_[name];
      listed += name;
      BOOST_REQUIRE_MESSAGE(server->active == model.active, where() << name);
      BOOST_REQUIRE_MESSAGE(server->inactive == model.inactive, where() << name);
      BOOST_REQUIRE_MESSAGE(server->overload == model.overload, where() << name);
      BOOST_REQUIRE_MESSAGE(server->spec.weight == model.weight, where() << name);
    }
    BOOST_REQUIRE_MESSAGE(listed == order_, where());
  }

  std::string where() const {
    return std::string(scheduler_) + " step " + std::to_string(step_) + " ";
  }

  std::string_view scheduler_;
  std::mt19937 random_;
  Farm farm_;
  std::map<char, ModelServer> models_;
  std::string order_;  // Newest first.
  std::vector<Bound> bound_;
  int step_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(server_set_property)

BOOST_AUTO_TEST_CASE(random_histories_keep_the_invariants) {
  for (const std::string_view scheduler : known_schedulers()) {
    for (uint32_t seed = 1; seed <= 20; ++seed) History(scheduler, seed).run(600);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
