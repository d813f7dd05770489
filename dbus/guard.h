#pragma once

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "dbus/wire.h"

namespace devid {

/// Runs a D-Bus handler that returns a Result: the value goes out, an Error becomes a named error reply. Nothing else
/// leaves it: on sdbus-c++ 1.2 any exception but sdbus::Error would abort the process. Property getters do without:
/// they copy values, and could only run out of memory.
template <class Handler>
auto guarded(Handler&& handler) {
  using Value = typename std::invoke_result_t<Handler>::value_type;
  Error error{.code = Errc::internal, .what = "devidd has a bug in this call", .hint = "please report it"};
  try {
    auto result = std::forward<Handler>(handler)();
    if (result) {
      if constexpr (std::is_void_v<Value>) {
        return;
      } else {
        return Value(*std::move(result));
      }
    }
    error = std::move(result.error());
  } catch (const sdbus::Error&) {
    throw;
  } catch (const std::exception& bug) {
    error.reason = bug.what();
  }
  throw wire::to_dbus(error);
}

/// A reply that is sent later. std::function wants what it holds to be copyable.
template <class Reply>
std::shared_ptr<Reply> share(Reply&& reply) {
  return std::make_shared<Reply>(std::forward<Reply>(reply));
}

}  // namespace devid
