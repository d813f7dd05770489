#include "dbus/residence.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <span>

namespace devid {
namespace {

/// Code that the dynamic linker has not touched: its pages are those of the file, so dropping them loses nothing.
/// Data, and constants that were relocated, are never touched here.
int drop_code(dl_phdr_info* object, std::size_t /*size*/, void* /*data*/) {
  const std::span headers(object->dlpi_phdr, object->dlpi_phnum);
  for (const auto& header : headers) {
    if (header.p_type != PT_DYNAMIC) continue;
    const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(object->dlpi_addr + header.p_vaddr);  // NOLINT
    for (; entry->d_tag != DT_NULL; ++entry)
      if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0)) return 0;
  }
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (const auto& header : headers) {
    if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0 || (header.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = (object->dlpi_addr + header.p_vaddr) / page * page;
    const std::uintptr_t end = object->dlpi_addr + header.p_vaddr + header.p_memsz;
    // If the kernel does not want to, the pages stay: nothing is lost. NOLINTNEXTLINE(performance-no-int-to-ptr)
    static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
  }
  return 0;
}

}  // namespace

void release_unused_pages() {
  static_cast<void>(::malloc_trim(0));
  dl_iterate_phdr(drop_code, nullptr);
}

}  // namespace devid
