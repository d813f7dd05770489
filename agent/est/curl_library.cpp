#include "agent/est/curl_library.h"

#include <cstring>

#include "base/wiping_heap.h"

namespace devid::est {
namespace {

char* duplicate(const char* text) {
  const std::size_t size = std::strlen(text) + 1;
  void* const copy = wiping_heap::allocate(size);
  return copy == nullptr ? nullptr : static_cast<char*>(std::memcpy(copy, text, size));
}

void* allocate_zeros(std::size_t count, std::size_t size) {
  std::size_t all = 0;
  if (__builtin_mul_overflow(count, size, &all)) return nullptr;
  void* const memory = wiping_heap::allocate(all);
  return memory == nullptr ? nullptr : std::memset(memory, 0, all);
}

}  // namespace

Easy make_easy() {
  static const CURLcode started =
      curl_global_init_mem(CURL_GLOBAL_DEFAULT, &wiping_heap::allocate, &wiping_heap::release, &wiping_heap::reallocate,
                           &duplicate, &allocate_zeros);
  return Easy(started == CURLE_OK ? curl_easy_init() : nullptr);
}

}  // namespace devid::est
