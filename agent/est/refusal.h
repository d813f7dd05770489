#pragma once

#include <string>

#include "agent/est/authentication.h"
#include "agent/est/http.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::est {

/// What the server said in words: the first 500 bytes of a text, JSON or HTML body, in one line, escaped. Empty for a
/// body of another kind.
std::string text_of(const Answer& answer);

/// The answer's Retry-After, if there is a usable one.
std::optional<Seconds> retry_after_of(const Answer& answer);

/// How this device has told the server who it is, beside its certificate.
enum class SentLogin { none, password, token };
SentLogin sent_login(const HttpAuthentication& authentication);

/// What it means that an answer's status is not the one that was hoped for: 401 and 403 server_unauthorized; 408, 429
/// and 5xx server_unavailable; other 4xx server_refused; everything else server_protocol. The server's text is the
/// reason; the hint of a 401 is about the login, where there was one or the server challenges for one.
Error refusal(const Answer& answer, SentLogin login = SentLogin::none);

}  // namespace devid::est
