#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "base/error.h"

namespace devid {

/// A value, or the Error that stood in the way. Propagate with a plain `if`.
template <class T = void>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

/// `return fail({.code = …});` from any function that returns a Result.
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace devid
