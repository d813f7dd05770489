#pragma once

#include <optional>
#include <string>

namespace devid::test {

/// How the EST server for tests wants to be told who a client is.
struct EstLogin {
  enum class Scheme { basic, digest, basic_and_digest, bearer };
  Scheme scheme = Scheme::basic;
  std::string user;
  std::string password;           ///< or the token
  std::string algorithm = "MD5";  ///< of Digest, as libest has it; or "SHA-256"
};

/// What of a request matters here.
struct LoginAttempt {
  std::string method;
  std::string target;
  std::string authorization;  ///< the header's value
};

/// The value of WWW-Authenticate for somebody who has not logged in rightly; none for somebody who has.
std::optional<std::string> challenge_for(const EstLogin& login, const LoginAttempt& attempt);

}  // namespace devid::test
