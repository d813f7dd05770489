#pragma once

#include <cstddef>

/// malloc(), realloc() and free() that leave nothing behind: for libraries that let themselves be given others. What is
/// freed is overwritten first, and what grows is copied, never moved by realloc() itself, which may leave a copy.
/// A null pointer is treated as by theirs.
namespace devid::wiping_heap {

void* allocate(std::size_t size) noexcept;
void* reallocate(void* memory, std::size_t size) noexcept;
void release(void* memory) noexcept;

}  // namespace devid::wiping_heap
