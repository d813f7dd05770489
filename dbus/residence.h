#pragma once

namespace devid {

/// Gives back to the kernel what only a job needed: free memory of the allocator, and the pages of library code, which
/// it can read from the files again. A daemon that works for some seconds in three months shall not hold the TLS, CMS
/// and TPM stacks resident in between. Harmless at any time, from any thread: what is used next is faulted in again.
void release_unused_pages();

}  // namespace devid
