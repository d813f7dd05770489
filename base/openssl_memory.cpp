#include "base/openssl_memory.h"

#include <openssl/crypto.h>

#include "base/wiping_heap.h"

namespace devid {
namespace {

void* allocate(std::size_t size, const char* /*file*/, int /*line*/) { return wiping_heap::allocate(size); }

void* reallocate(void* memory, std::size_t size, const char* /*file*/, int /*line*/) {
  return wiping_heap::reallocate(memory, size);
}

void release(void* memory, const char* /*file*/, int /*line*/) { wiping_heap::release(memory); }

}  // namespace

bool wipe_openssl_memory() { return CRYPTO_set_mem_functions(allocate, reallocate, release) == 1; }

}  // namespace devid
