// The words of explain(): one function per key, the first that fails ends it.
#include "rules/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "rules/text.h"

namespace shunt::rules {
namespace {

using config::ValueMatch;

constexpr size_t kListMax = 4;  // Values of a list that are spelled out.

std::string quoted(std::string_view text) {
  return fmt::format("\"{}\"", text);
}

// `"a"`, `one of "a", "b"`, `one of "a", "b", "c", "d" and 7 more`.
template <class Values, class Print>
std::string one_of(const Values& values, Print print) {
  if (values.empty()) return "any of none";
  if (values.size() == 1) return print(values[0]);
  std::string text = "one of ";
  for (size_t i = 0; i < std::min(values.size(), kListMax); ++i)
    text += (i == 0 ? "" : ", ") + print(values[i]);
  if (values.size() > kListMax) text += fmt::format(" and {} more", values.size() - kListMax);
  return text;
}

std::string one_of(const std::vector<std::string>& values) {
  return one_of(values, quoted);
}

class Explainer {
 public:
  Explainer(const Conditions& conditions, std::span<const config::Listener> listeners,
            Subject& subject)
      : conditions_(conditions),
        match_(*conditions.match),
        listeners_(listeners),
        subject_(subject) {}

  Finding run() {
    const bool all = listener() && scheme() && sni() && method() && host() && paths() &&
                     extension() && source() && content_type() && headers() && cookies() &&
                     query() && none() && any();
    if (all && reasons_.empty()) return {true, "always matches"};
    return {all, all ? fmt::format("{}", fmt::join(reasons_, "; ")) : failure_};
  }

 private:
  // Records the finding for a key: `text` is "key: value", then the verb that is true, then what
  // was asked for.
  bool report(bool holds, const std::string& text, std::string_view yes, std::string_view no,
              const std::string& wanted) {
    std::string sentence = text;
    for (const std::string_view part : {holds ? yes : no, std::string_view(wanted)}) {
      if (!part.empty()) sentence += fmt::format(" {}", part);
    }
    if (holds)
      reasons_.push_back(sentence);
    else
      failure_ = sentence;
    return holds;
  }

  bool listener() {
    if (!conditions_.listener) return true;
    const auto name = [&](uint32_t index) {
      return index < listeners_.size() ? quoted(listeners_[index].name) : fmt::format("#{}", index);
    };
    return report(listener_holds(conditions_, subject_),
                  "listener: " + name(subject_.request().listener), "is", "is not",
                  one_of(*conditions_.listener, name));
  }

  bool scheme() {
    return match_.scheme.empty() ||
           report(scheme_holds(match_, subject_), "scheme: " + quoted(subject_.request().scheme),
                  "is", "is not", one_of(match_.scheme));
  }

  bool sni() {
    const std::string_view value = subject_.request().sni;
    return match_.sni.empty() ||
           report(sni_holds(match_, subject_), "sni: " + (value.empty() ? "none" : quoted(value)),
                  "is", "is not", one_of(match_.sni));
  }

  bool method() {
    return match_.method.empty() ||
           report(method_holds(match_, subject_), "method: " + quoted(subject_.request().method),
                  "is", "is not", one_of(match_.method));
  }

  bool host() {
    return match_.host.empty() ||
           report(host_holds(match_, subject_), "host: " + quoted(subject_.host()), "is", "is not",
                  one_of(match_.host));
  }

  bool paths() {
    const std::string path = "path: " + quoted(subject_.request().path);
    if (!match_.path.empty() &&
        !report(path_holds(match_, subject_), path, "is", "is not", one_of(match_.path)))
      return false;
    if (!match_.path_prefix.empty() &&
        !report(path_prefix_holds(match_, subject_), path, "begins with", "does not begin with",
                one_of(match_.path_prefix)))
      return false;
    return match_.path_regex.empty() ||
           report(path_regex_holds(conditions_, subject_), path, "matches", "does not match",
                  one_of(match_.path_regex));
  }

  bool extension() {
    if (match_.extension.empty()) return true;
    const std::string_view value = subject_.extension();
    return report(extension_holds(match_, subject_),
                  "extension: " + (value.data() ? quoted(value) : "none"), "is", "is not",
                  one_of(match_.extension));
  }

  bool source() {
    const auto print = [](const Cidr& network) { return network.to_string(); };
    return match_.source.empty() || report(source_holds(match_, subject_),
                                           "source: " + subject_.request().source.to_string(),
                                           "is in", "is not in", one_of(match_.source, print));
  }

  bool content_type() {
    if (match_.content_type.empty()) return true;
    const std::string_view type = subject_.media_type();
    return report(content_type_holds(match_, subject_),
                  "content_type: " + (type.empty() ? "none" : quoted(type)), "is", "is not",
                  one_of(match_.content_type));
  }

  bool headers() {
    return std::ranges::all_of(conditions_.header, [&](const FieldCondition& condition) {
      std::vector<std::string_view> values;
      for (const HeaderView& header : subject_.request().headers) {
        if (equals_lower(header.name, condition.match->name)) values.push_back(header.value);
      }
      return field("header", condition, values, header_holds(condition, subject_));
    });
  }

  bool cookies() {
    return std::ranges::all_of(conditions_.cookie, [&](const FieldCondition& condition) {
      return field("cookie", condition, values_of(subject_.cookies(), condition),
                   cookie_holds(condition, subject_));
    });
  }

  bool query() {
    return std::ranges::all_of(conditions_.query, [&](const FieldCondition& condition) {
      return field("query", condition, values_of(subject_.parameters(), condition),
                   query_holds(condition, subject_));
    });
  }

  static std::vector<std::string_view> values_of(std::span<const Field> fields,
                                                 const FieldCondition& condition) {
    std::vector<std::string_view> values;
    for (const Field& field : fields) {
      if (field.name == condition.match->name) values.push_back(field.value);
    }
    return values;
  }

  bool field(std::string_view key, const FieldCondition& condition,
             const std::vector<std::string_view>& values, bool holds) {
    const std::string subject = fmt::format("{} \"{}\":", key, condition.match->name);
    const ValueMatch& value = condition.match->value;
    if (value.kind == ValueMatch::Kind::kPresent || values.empty())
      return report(holds, subject, "is there", "is not there", "");
    const std::string text = fmt::format("{} {}", subject, fmt::join(values_quoted(values), ", "));
    switch (value.kind) {
      case ValueMatch::Kind::kPrefix:
        return report(holds, text, "begins with", "does not begin with", quoted(value.text));
      case ValueMatch::Kind::kRegex:
        return report(holds, text, "matches", "does not match", quoted(value.text));
      default:
        return report(holds, text, "is", "is not", quoted(value.text));
    }
  }

  static std::vector<std::string> values_quoted(const std::vector<std::string_view>& values) {
    std::vector<std::string> result;
    for (const std::string_view value : values) result.push_back(quoted(value));
    return result;
  }

  bool none() {
    return std::ranges::all_of(conditions_.none, [&](const Conditions& inner) {
      const Finding finding = explain_conditions(inner, listeners_, subject_);
      return report(!finding.holds, "not:", "", "", finding.why);
    });
  }

  bool any() {
    if (conditions_.any.empty()) return true;
    std::vector<std::string> failures;
    for (const Conditions& inner : conditions_.any) {
      Finding finding = explain_conditions(inner, listeners_, subject_);
      if (finding.holds) return report(true, "any:", "", "", finding.why);
      failures.push_back(std::move(finding.why));
    }
    return report(false, "any:", "", "no alternative holds",
                  fmt::format("({})", fmt::join(failures, " | ")));
  }

  const Conditions& conditions_;
  const config::Match& match_;
  const std::span<const config::Listener> listeners_;
  Subject& subject_;
  std::vector<std::string> reasons_;
  std::string failure_;
};

}  // namespace

Finding explain_conditions(const Conditions& conditions,
                           std::span<const config::Listener> listeners, Subject& subject) {
  return Explainer(conditions, listeners, subject).run();
}

}  // namespace shunt::rules
