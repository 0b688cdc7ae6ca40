// Look-ups in a request. Pure, any thread.
#include "rules/request_view.h"

#include "rules/text.h"

namespace shunt::rules {

std::string_view RequestView::header(std::string_view name) const {
  for (const HeaderView& field : headers) {
    if (field.name.size() != name.size()) continue;
    size_t i = 0;
    while (i < name.size() && ascii_lower(field.name[i]) == ascii_lower(name[i])) ++i;
    if (i == name.size()) return field.value.data() != nullptr ? field.value : std::string_view("");
  }
  return {};
}

}  // namespace shunt::rules
