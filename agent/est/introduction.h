#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/est/authentication.h"
#include "agent/est/binding_kind.h"
#include "agent/est/http.h"

namespace devid::est {

/// How this device has told the server who it is, and that the key of its request is its own.
struct Introduction {
  enum class Login {
    none,
    password,  ///< by Basic or Digest, once the server has asked for one of them
    basic,     ///< with every request
    digest,    ///< once the server has asked for it
    token,     ///< with every request
  };
  enum class Certificate {
    none,
    unused,  ///< there is one, but the server did not ask for it, or asked for another's
    shown,
  };
  Login login = Login::none;
  Certificate certificate = Certificate::none;
  std::optional<BindingKind> binding;  ///< of the request
};

Introduction::Login sent_login(const HttpAuthentication& authentication);

/// Whether a server's words are about the proof of possession of RFC 7030 3.5: no standard gives any.
bool speaks_of_binding(std::string_view text);

/// What the operator should look at where a server did not let this device in: for 400, 401 and 403. `text` is what the
/// server said. Empty where it is not about who this device is.
std::string hint_for(const Answer& answer, std::string_view text, const Introduction& introduction);

}  // namespace devid::est
