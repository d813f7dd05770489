#pragma once

#include <curl/curl.h>

#include "base/owned.h"

namespace devid::est {

using Easy = Owned<CURL, curl_easy_cleanup>;

/// A handle of libcurl; null if libcurl cannot start. It starts with the first one, and wipes all memory that it gives
/// back: passwords, tokens, and what it received, which may be a private key.
Easy make_easy();

}  // namespace devid::est
