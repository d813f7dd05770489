#pragma once

#include <memory>

namespace devid {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* p) const noexcept {
    Free(p);  // NOLINT(cppcoreguidelines-no-malloc,cppcoreguidelines-owning-memory): this is the RAII
  }
};

/// A C handle that is released by the function that its library has for it.
template <class T, auto Free>
using Owned = std::unique_ptr<T, FreeWith<Free>>;

}  // namespace devid
