#pragma once

#include <openssl/core.h>

namespace devid::provider {

/// One entry of an OpenSSL dispatch table. `Function` is the type that core_dispatch.h has for `id`: a function of
/// another type does not compile. They are all noexcept: nothing may be thrown through OpenSSL.
template <class Function>
OSSL_DISPATCH dispatch(int id, Function* function) noexcept {
  return {.function_id = id, .function = reinterpret_cast<void (*)()>(function)};
}

inline constexpr OSSL_DISPATCH end_of_dispatch{.function_id = 0, .function = nullptr};

}  // namespace devid::provider
