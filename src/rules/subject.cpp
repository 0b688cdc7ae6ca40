// The derived parts of a request. One thread at a time.
#include "rules/subject.h"

#include "core/assert.h"
#include "rules/text.h"

namespace shunt::rules {

void Subject::begin(const RequestView& request) {
  request_ = &request;
  std::string_view host = request.host;
  if (host.ends_with('.')) host.remove_suffix(1);
  host_ = to_lower(host, host_storage_);
  known_matches_ = {};
  has_extension_ = has_media_type_ = has_cookies_ = has_parameters_ = false;
}

std::string_view Subject::extension() {
  if (has_extension_) return extension_;
  has_extension_ = true;
  const std::string_view path = request_->path;
  const std::string_view segment = path.substr(path.rfind('/') + 1);
  const size_t dot = segment.rfind('.');
  extension_ = dot == std::string_view::npos
                   ? std::string_view()
                   : to_lower(segment.substr(dot + 1), extension_storage_);
  return extension_;
}

std::string_view Subject::media_type() {
  if (has_media_type_) return media_type_;
  has_media_type_ = true;
  const std::string_view value = request_->header("content-type");
  media_type_ = to_lower(trim(value.substr(0, value.find(';'))), media_type_storage_);
  return media_type_;
}

std::span<const Field> Subject::cookies() {
  if (has_cookies_) return cookies_;
  has_cookies_ = true;
  cookies_.clear();
  any_cookie(*request_, [this](const Field& field) {
    cookies_.push_back(field);
    return false;
  });
  return cookies_;
}

std::span<const Field> Subject::parameters() {
  if (!has_parameters_) derive_parameters();
  return parameters_;
}

void Subject::derive_parameters() {
  has_parameters_ = true;
  parameters_.clear();
  parameter_storage_.clear();
  // Decoding never makes longer, so that the views into the storage stay valid.
  parameter_storage_.reserve(request_->query.size());
  const auto decoded = [this](std::string_view raw) -> std::string_view {
    if (raw.find_first_of("%+") == std::string_view::npos) return raw;
    const size_t start = parameter_storage_.size();
    decode_component(raw, [this](char c) {
      parameter_storage_ += c;
      return true;
    });
    return std::string_view(parameter_storage_).substr(start);
  };
  any_parameter(*request_, [&](const Field& field) {
    parameters_.push_back({decoded(field.name), decoded(field.value)});
    return false;
  });
  SHUNT_ASSERT(parameter_storage_.size() <= request_->query.size());
}

}  // namespace shunt::rules
