#include "base/openssl_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace devid {
namespace {

// NOLINTBEGIN(cppcoreguidelines-no-malloc,cppcoreguidelines-owning-memory): this is the allocator

void release(void* memory, const char* /*file*/, int /*line*/) {
  if (memory == nullptr) return;
  ::explicit_bzero(memory, ::malloc_usable_size(memory));
  std::free(memory);
}

void* allocate(std::size_t size, const char* /*file*/, int /*line*/) { return std::malloc(size); }

/// realloc() itself may move the octets and leave a copy behind.
void* reallocate(void* memory, std::size_t size, const char* file, int line) {
  if (memory == nullptr) return std::malloc(size);
  if (size == 0) {
    release(memory, file, line);
    return nullptr;
  }
  const std::size_t had = ::malloc_usable_size(memory);
  if (size <= had) return memory;
  void* const larger = std::malloc(size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, memory, std::min(had, size));
  release(memory, file, line);
  return larger;
}

// NOLINTEND(cppcoreguidelines-no-malloc,cppcoreguidelines-owning-memory)

}  // namespace

bool wipe_openssl_memory() { return CRYPTO_set_mem_functions(allocate, reallocate, release) == 1; }

}  // namespace devid
