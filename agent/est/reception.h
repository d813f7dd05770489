#pragma once

#include <cstddef>
#include <string_view>

#include "agent/est/http.h"

namespace devid::est {

/// What has come of an answer so far, bounded.
class Reception {
 public:
  static constexpr std::size_t head_limit = 65536;  ///< of all heads of one exchange

  explicit Reception(std::size_t body_limit, BodyEnd body_end = BodyEnd::announced)
      : body_limit_(body_limit), body_end_(body_end) {}
  Reception(const Reception&) = delete;
  Reception& operator=(const Reception&) = delete;
  Reception(Reception&&) = delete;
  Reception& operator=(Reception&&) = delete;
  ~Reception() = default;

  /// One line of a head; a status line starts over, after 1xx and challenges. Lines may be folded. Of several headers
  /// with one name the first holds, but for challenges. Returns whether more may come.
  bool take_head(std::string_view line);
  /// A piece of the body. Returns whether more may come.
  bool take_body(std::string_view piece);

  /// Whether the body has come to the end that BodyEnd::last_boundary means.
  [[nodiscard]] bool body_ended() const { return body_ended_; }
  [[nodiscard]] bool head_complete() const { return head_complete_; }
  [[nodiscard]] bool head_too_large() const { return head_bytes_ > head_limit; }
  Answer answer;

 private:
  void take_field(std::string_view line);

  std::size_t body_limit_;
  BodyEnd body_end_;
  std::size_t head_bytes_ = 0;
  bool head_complete_ = false;
  bool body_ended_ = false;
  std::string* open_ = nullptr;  ///< what a folded line goes on with
};

}  // namespace devid::est
