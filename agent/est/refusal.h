#pragma once

#include <string>

#include "agent/est/http.h"
#include "agent/est/introduction.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::est {

/// What the server said in words: the first 500 bytes of a text, JSON or HTML body, in one line, escaped. Empty for a
/// body of another kind.
std::string text_of(const Answer& answer);

/// The answer's Retry-After, if there is a usable one.
std::optional<Seconds> retry_after_of(const Answer& answer);

/// What it means that an answer's status is not the one that was hoped for: 401 and 403 server_unauthorized; 408, 429
/// and 5xx server_unavailable; other 4xx server_refused; everything else server_protocol. The server's text is the
/// reason; where it does not let this device in, the hint is about how the device has introduced itself.
Error refusal(const Answer& answer, const Introduction& introduction = {});

}  // namespace devid::est
