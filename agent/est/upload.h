#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "agent/est/csr_source.h"
#include "base/result.h"

namespace devid::est {

/// The body of one POST: a request in base64, in lines.
class Upload {
 public:
  explicit Upload(const CsrSource& source) : source_(&source) {}

  /// The whole body without a binding. Made once. Errors: the source's.
  Result<std::string> text();

  /// How many octets the body has if the request is made later.
  [[nodiscard]] std::size_t size() const;
  /// Fills `room` with what comes next of it; 0 at its end. The request is made when this is called first, and again
  /// when the binding is another one: then the connection is, and what was read before went nowhere. What the request
  /// lacks in size is made up for with line ends, which no reader of base64 minds.
  /// Errors: the source's; internal, if the request is longer than the source has said.
  Result<std::size_t> read(std::span<char> room, const std::string& binding);
  /// Starts over.
  void rewind() { at_ = 0; }

 private:
  Result<> make(const std::optional<std::string>& binding);

  const CsrSource* source_;  ///< borrowed
  std::optional<std::string> binding_;
  std::string text_;
  std::size_t at_ = 0;
};

}  // namespace devid::est
