#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace devid::test {

/// What can be wrong with a certificate that the server issues.
enum class CertificateFlaw {
  none,
  wrong_key,             ///< it is for another key than the request's
  wrong_issuer,          ///< it is signed by a CA of the same name, but another key
  expired,               ///< since a day ago
  not_yet_valid,         ///< from tomorrow on
  is_ca,                 ///< basicConstraints CA:TRUE
  no_digital_signature,  ///< keyUsage keyAgreement only
  server_only,           ///< extendedKeyUsage serverAuth only
  other_names,           ///< another common name, and no alternative names
  from_next_year,        ///< not yet valid, and for long
  for_fifty_years,       ///< valid, and for long
  for_a_minute,          ///< valid, and for a minute
  same_again,            ///< the one that was issued last, whatever was asked for
  more_names,            ///< an alternative name that nobody asked for
};

/// What can be wrong, or just unusual, with a body.
enum class BodyFlaw {
  none,
  empty,         ///< no octets at all
  empty_cms,     ///< a CMS message without certificates
  garbage,       ///< text that is no base64
  not_cms,       ///< base64 of something else
  truncated,     ///< half of the base64, with a Content-Length that says so
  oversized,     ///< 10 MB of base64
  trailing_nul,  ///< good, and a NUL octet after it, as libest has it
  one_line,      ///< good, in base64 without line ends
  pem,           ///< good, in PEM armour
  crlf,          ///< good, in lines that end in CR LF
};

/// The forms of an HTTP answer. With `short_length` the Content-Length says 246 octets less than there are, as that of
/// libest 3.2.0 does where it makes a key.
enum class HttpForm { length, chunked, http_1_0, short_length };

/// What becomes of a Full PKI Request.
enum class CmcOutcome { issued, failed, pending, pending_without_time };

/// What is unusual about a key that the server makes.
enum class KeygenHabit {
  none,
  libest,  ///< RSA-2048 whatever the request is for (libest: 4096), as PKCS#1, in a body as libest 3.2.0 writes it
  not_encrypted,  ///< though the request names a decryption key
};

/// How a connection ends when an answer is cut.
enum class Ending { abrupt, close_notify, stall };

/// How an answer differs from a good one. What is not named is as it should be.
struct Misbehaviour {
  CertificateFlaw certificate = CertificateFlaw::none;
  BodyFlaw body = BodyFlaw::none;
  std::optional<unsigned> status;         ///< instead of serving the request
  std::string text;                       ///< the body of such a status
  std::optional<std::string> media_type;  ///< instead of the right one; empty leaves the header out
  std::string retry_after;                ///< the value of the header, none if empty
  std::string location;                   ///< likewise
  HttpForm form = HttpForm::length;
  bool transfer_encoding = true;         ///< send Content-Transfer-Encoding: base64
  std::chrono::milliseconds delay{0};    ///< before the first byte
  std::optional<std::size_t> cut_after;  ///< this many bytes of the answer, then the ending
  Ending ending = Ending::abrupt;
  std::string head;                   ///< more lines of the head, each with its line end
  std::chrono::milliseconds drip{0};  ///< if not 0: a byte at a time, and this between two
  std::string endless;                ///< after the answer: this again and again, until somebody hangs up
  std::optional<std::string> raw;     ///< these bytes instead of an answer, then the connection is closed
  bool stays_open = false;            ///< the connection goes on though the client wants it to end
  CmcOutcome cmc = CmcOutcome::issued;
  KeygenHabit keygen = KeygenHabit::none;
};

/// Misbehaviours by name ("wrong-key", "status-503", …), for tests that go through all of them and for the command
/// line. `late` is two seconds late.
const std::vector<std::pair<std::string, Misbehaviour>>& all_misbehaviours();

/// One of them. Throws std::out_of_range for a name that is not there.
const Misbehaviour& misbehaviour(std::string_view name);

}  // namespace devid::test
