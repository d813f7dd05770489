#include "base/wiping_heap.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>

namespace devid::wiping_heap {

// NOLINTBEGIN(cppcoreguidelines-no-malloc,cppcoreguidelines-owning-memory): this is the allocator

void* allocate(std::size_t size) noexcept { return std::malloc(size); }

void* reallocate(void* memory, std::size_t size) noexcept {
  if (memory == nullptr) return std::malloc(size);
  if (size == 0) {
    release(memory);
    return nullptr;
  }
  const std::size_t had = ::malloc_usable_size(memory);
  if (size <= had) return memory;
  void* const larger = std::malloc(size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, memory, had);
  release(memory);
  return larger;
}

void release(void* memory) noexcept {
  if (memory == nullptr) return;
  ::explicit_bzero(memory, ::malloc_usable_size(memory));
  std::free(memory);
}

// NOLINTEND(cppcoreguidelines-no-malloc,cppcoreguidelines-owning-memory)

}  // namespace devid::wiping_heap
