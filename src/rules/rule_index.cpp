// The walk down the decision tree.
#include "rules/rule_index.h"

#include "core/assert.h"
#include "rules/rule_index_builder.h"
#include "rules/rule_set.h"

namespace shunt::rules {

// One walk for one request.
class RuleIndex::Search {
 public:
  Search(const RuleIndex& index, Subject& subject, Workspace& workspace)
      : index_(index), subject_(subject), workspace_(workspace) {}

  void visit(uint32_t id);
  uint32_t best() const { return best_; }

 private:
  void visit_leaf(const Node& node);
  void visit_keyed(const Inner& inner);
  void visit_literals(const NumberTable& table);
  void visit_regexes(const RegexTable& table);
  void visit_media_ranges(const TextTable& table);
  void visit_headers(const FieldTable& table);
  void visit_fields(const FieldTable& table, std::span<const Field> fields);
  void visit_values(const FieldTable::Values& values, std::string_view value);
  void visit_text(const TextTable& table, std::string_view text);
  void visit_number(const NumberTable& table, uint32_t number);

  const RuleIndex& index_;
  Subject& subject_;
  Workspace& workspace_;
  uint32_t best_ = kNoRule;
};

RuleIndex::RuleIndex(std::span<const Conditions> rules) : rules_(rules) {
  RuleIndexBuilder(*this).build();
}

uint32_t RuleIndex::first(Subject& subject, Workspace& workspace) const {
  if (root_ == kNoNode) return kNoRule;
  ++workspace.search;
  workspace.has_regex_hits = false;
  if (workspace.visited.size() < nodes_.size()) workspace.visited.resize(nodes_.size());
  Search search(*this, subject, workspace);
  search.visit(root_);
  return search.best();
}

void RuleIndex::Search::visit(uint32_t id) {
  while (id != kNoNode) {
    const Node& node = index_.nodes_[id];
    if (node.lowest >= best_) return;
    // A request can have a key many times over ("?a&a&a&…"); once is enough, and keeps the work
    // bounded.
    if (workspace_.visited[id] == workspace_.search) return;
    workspace_.visited[id] = workspace_.search;
    if (!node.inner) return visit_leaf(node);

    // What is left beside the patterns is cheaper than they are, and may make them needless.
    const Inner& inner = *node.inner;
    const bool keyed_last =
        inner.dimension == Dimension::kPathLiteral || inner.dimension == Dimension::kPathRegex;
    if (keyed_last) visit(inner.rest);
    if (inner.keyed_lowest < best_) visit_keyed(inner);
    if (keyed_last) return;
    id = inner.rest;
  }
}

void RuleIndex::Search::visit_leaf(const Node& node) {
  if (holds(index_.rules_[node.lowest], subject_)) {
    best_ = node.lowest;
    return;
  }
  for (const uint32_t rule : node.more) {
    if (rule >= best_) return;
    if (holds(index_.rules_[rule], subject_)) {
      best_ = rule;
      return;
    }
  }
}

void RuleIndex::Search::visit_keyed(const Inner& inner) {
  const RequestView& request = subject_.request();
  const auto visit_child = [this](uint32_t child) { visit(child); };
  switch (inner.dimension) {
    case Dimension::kHost:
      return std::get<HostTable>(inner.table).find(subject_.host(), visit_child);
    case Dimension::kPath:
      return std::get<PathTrie>(inner.table).find(request.path, visit_child);
    case Dimension::kListener:
      return visit_number(std::get<NumberTable>(inner.table), request.listener);
    case Dimension::kMethod:
      return visit_text(std::get<TextTable>(inner.table), request.method);
    case Dimension::kExtension:
      return visit_text(std::get<TextTable>(inner.table), subject_.extension());
    case Dimension::kScheme:
      return visit_text(std::get<TextTable>(inner.table), request.scheme);
    case Dimension::kSource:
      return std::get<NetworkTable>(inner.table).find(request.source, visit_child);
    case Dimension::kContentType:
      return visit_media_ranges(std::get<TextTable>(inner.table));
    case Dimension::kHeader:
      return visit_headers(std::get<FieldTable>(inner.table));
    case Dimension::kCookie:
      return visit_fields(std::get<FieldTable>(inner.table), subject_.cookies());
    case Dimension::kQuery:
      return visit_fields(std::get<FieldTable>(inner.table), subject_.parameters());
    case Dimension::kPathLiteral:
      return visit_literals(std::get<NumberTable>(inner.table));
    case Dimension::kPathRegex:
      return visit_regexes(std::get<RegexTable>(inner.table));
  }
  SHUNT_ASSERT(false);  // Every dimension has a table.
}

void RuleIndex::Search::visit_literals(const NumberTable& table) {
  index_.literals_.search(subject_.request().path, [&](uint32_t key) { visit_number(table, key); });
}

void RuleIndex::Search::visit_regexes(const RegexTable& table) {
  RegexSet::Hits& hits = workspace_.regex_hits;
  if (!workspace_.has_regex_hits) {
    index_.regexes_->search(subject_.request().path, hits);
    subject_.set_known_matches(hits.regexes);
    workspace_.has_regex_hits = true;
  }
  for (const Regex* regex : hits.regexes) {
    const auto child = table.children.find(regex);
    if (child != table.children.end()) visit(child->second);
  }
}

void RuleIndex::Search::visit_media_ranges(const TextTable& table) {
  const std::string_view type = subject_.media_type();
  if (type.empty()) return;
  visit_text(table, type);
  visit_text(table, type.substr(0, type.find('/') + 1));
  visit_text(table, "");
}

void RuleIndex::Search::visit_headers(const FieldTable& table) {
  for (const HeaderView& header : subject_.request().headers) {
    const auto values = table.names.find(to_lower(header.name, workspace_.lower_name));
    if (values != table.names.end()) visit_values(values->second, header.value);
  }
}

void RuleIndex::Search::visit_fields(const FieldTable& table, std::span<const Field> fields) {
  for (const Field& field : fields) {
    const auto values = table.names.find(field.name);
    if (values != table.names.end()) visit_values(values->second, field.value);
  }
}

void RuleIndex::Search::visit_values(const FieldTable::Values& values, std::string_view value) {
  values.trie.find(value, [this](uint32_t child) { visit(child); });
  visit(values.present);
}

void RuleIndex::Search::visit_text(const TextTable& table, std::string_view text) {
  const auto child = table.children.find(text);
  if (child != table.children.end()) visit(child->second);
}

void RuleIndex::Search::visit_number(const NumberTable& table, uint32_t number) {
  visit(table.children.find(number));
}

}  // namespace shunt::rules
