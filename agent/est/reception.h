#pragma once

#include <cstddef>
#include <string_view>

#include "agent/est/http.h"

namespace devid::est {

/// What has come of an answer so far, bounded.
class Reception {
 public:
  static constexpr std::size_t head_limit = 65536;  ///< of all heads of one exchange

  explicit Reception(std::size_t body_limit) : body_limit_(body_limit) {}

  /// One line of a head; a status line starts over, after 1xx and challenges. Returns whether more may come.
  bool take_head(std::string_view line);
  /// A piece of the body. Returns whether more may come.
  bool take_body(std::string_view piece);

  [[nodiscard]] bool head_complete() const { return head_complete_; }
  [[nodiscard]] bool head_too_large() const { return head_bytes_ > head_limit; }
  Answer answer;

 private:
  std::size_t body_limit_;
  std::size_t head_bytes_ = 0;
  bool head_complete_ = false;
};

}  // namespace devid::est
