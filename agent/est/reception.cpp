#include "agent/est/reception.h"

#include <algorithm>
#include <array>

#include "agent/est/ascii.h"
#include "agent/est/media_type.h"
#include "agent/est/multipart.h"

namespace devid::est {
namespace {

constexpr std::array<std::string_view, 5> kept_headers = {"content-type", "date", "location", "retry-after",
                                                          "www-authenticate"};

}  // namespace

bool Reception::take_head(std::string_view line) {
  head_bytes_ += line.size();
  if (head_too_large()) return false;
  if (line.starts_with("HTTP/")) {
    answer.headers.clear();
    open_ = nullptr;
    head_complete_ = false;
  } else if (ascii::trim(line).empty()) {
    head_complete_ = true;
  } else if (!head_complete_) {  // what comes behind the body is no header
    take_field(line);
  }
  return true;
}

void Reception::take_field(std::string_view line) {
  if (ascii::is_blank(line.front())) {  // folded (RFC 9112 5.2)
    if (open_ == nullptr) return;
    if (!open_->empty() && !open_->ends_with(' ')) open_->append(" ");
    open_->append(ascii::trim(line));
    return;
  }
  open_ = nullptr;
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string name = ascii::lower(line.substr(0, colon));
  if (std::ranges::find(kept_headers, name) == kept_headers.end()) return;
  const bool is_list = name == "www-authenticate";  // RFC 9110 5.3
  const std::string_view value = ascii::trim(line.substr(colon + 1));
  const auto [at, added] = answer.headers.try_emplace(std::move(name), value);
  if (!added && !is_list) return;
  if (!added) at->second.append(", ").append(value);
  open_ = &at->second;
}

bool Reception::take_body(std::string_view piece) {
  const std::size_t room = body_limit_ - answer.body.size();
  answer.body.append(piece.substr(0, room));
  answer.cut = piece.size() > room;
  if (body_end_ == BodyEnd::last_boundary && !answer.cut) {
    const auto type = MediaType::parse(answer.header("content-type"));
    body_ended_ = type && ends_with_last_boundary(answer.body, *type);
  }
  return !answer.cut && !body_ended_;
}

}  // namespace devid::est
