#pragma once

namespace devid {

/// Makes OpenSSL wipe all memory that it gives back, for the rest of the process. It wipes the key objects that it
/// frees, but not what its decoders read on the way to them: without this a copy of each EC key that is parsed stays in
/// the heap (measured with 3.0). To be called first of all: false, and nothing is changed, once OpenSSL has allocated.
bool wipe_openssl_memory();

}  // namespace devid
