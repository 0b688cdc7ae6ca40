// Rewrites paths and queries. See the header.
#include "rules/rewrite.h"

#include <algorithm>
#include <array>

#include "rules/path.h"
#include "rules/text.h"

namespace shunt::rules {
namespace {

// Appends up to kTargetMax octets; remembers if there were more.
class TargetSink {
 public:
  explicit TargetSink(std::string& text) : text_(text) {}
  void append(std::string_view piece) {
    overflowed_ |= text_.size() + piece.size() > kTargetMax;
    if (!overflowed_) text_ += piece;
  }
  bool overflowed() const { return overflowed_; }

 private:
  std::string& text_;
  bool overflowed_ = false;
};

// The length of the dot at the start of `text`, escaped or not; 0 if there is none.
size_t dot_size(std::string_view text) {
  if (text.starts_with('.')) return 1;
  const bool escaped =
      text.size() >= 3 && text[0] == '%' && text[1] == '2' && ascii_lower(text[2]) == 'e';
  return escaped ? 3 : 0;
}

// A segment "." or "..", however written.
bool has_dot_segment(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);  // The "/" before it.
    const size_t end = std::min(path.find('/'), path.size());
    std::string_view segment = path.substr(0, end);
    path.remove_prefix(end);
    int dots = 0;
    for (size_t size = dot_size(segment); size > 0; size = dot_size(segment)) {
      segment.remove_prefix(size);
      ++dots;
    }
    if (segment.empty() && (dots == 1 || dots == 2)) return true;
  }
  return false;
}

// Writes what `rewrite` makes of the path; false if it does not apply to it.
bool write_path(const PathRewrite& rewrite, const Values& values, TargetSink& sink) {
  const std::string_view path = values.request->path;
  Encoder rest(sink, Encoding::kPath, Form::kEscaped);
  if (rewrite.regex) {
    std::array<std::string_view, kCapturesMax> groups;
    if (!rewrite.regex->capture(path, groups)) return false;
    Values own = values;
    own.captures = groups;
    const auto begin = static_cast<size_t>(groups[0].data() - path.data());
    rest.append(path.substr(0, begin));
    rewrite.to.write(own, sink);
    rest.append(path.substr(begin + groups[0].size()));
    return true;
  }
  if (rewrite.prefix.empty()) {
    rewrite.to.write(values, sink);
    return true;
  }
  if (!path.starts_with(rewrite.prefix)) return false;
  rewrite.to.write(values, sink);
  rest.append(path.substr(rewrite.prefix.size()));
  return true;
}

bool is_dropped(const QueryEdits& edits, std::string_view raw_name) {
  return std::ranges::any_of(
      edits.dropped, [raw_name](const std::string& name) { return decodes_to(raw_name, name); });
}

// Parameters that stay are written as they came, empty ones too.
void write_query(const QueryEdits& edits, const Values& values, TargetSink& sink) {
  std::string_view separator = "?";
  const auto begin_parameter = [&] {
    sink.append(separator);
    separator = "&";
  };
  for (std::string_view rest = values.request->query; !rest.empty();) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    const Field field = take_pair(rest, '&');
    if (is_dropped(edits, field.name)) continue;
    begin_parameter();
    sink.append(pair);
  }
  for (const QueryEdits::Edit& edit : edits.written) {
    begin_parameter();
    sink.append(edit.name);
    sink.append("=");
    edit.value.write(values, sink);
  }
}

}  // namespace

Rewritten rewrite_target(const Actions& actions, std::string_view raw_path, bool has_query,
                         const Values& values, std::string& out) {
  out.clear();
  if (!actions.rewrites_target() || !values.request->path.starts_with('/'))
    return Rewritten::kUnchanged;
  TargetSink sink(out);
  const bool path_changed = actions.path && write_path(*actions.path, values, sink);
  if (!path_changed && actions.query.empty()) return Rewritten::kUnchanged;
  if (path_changed) {
    if (sink.overflowed()) return Rewritten::kTooLong;
    if (!out.starts_with('/')) out.insert(out.begin(), '/');
    // Nothing but the client's own bytes could make one: refused rather than resolved, since the
    // resolved path may be outside of what the rewrite is for.
    if (has_dot_segment(out)) return Rewritten::kInvalid;
    // Joins of parts leave "//" and halves of escapes.
    std::string normal;
    if (normalise_path(out, normal).data() != out.data()) out.swap(normal);
  } else {
    sink.append(raw_path.empty() ? "/" : raw_path);
  }
  if (!actions.query.empty()) {
    write_query(actions.query, values, sink);
  } else if (has_query) {
    sink.append("?");
    sink.append(values.request->query);
  }
  return sink.overflowed() || out.size() > kTargetMax ? Rewritten::kTooLong : Rewritten::kChanged;
}

}  // namespace shunt::rules
