#include "tests/support/est_misbehaviour.h"

#include <algorithm>
#include <stdexcept>

namespace devid::test {

const std::vector<std::pair<std::string, Misbehaviour>>& all_misbehaviours() {
  static const std::vector<std::pair<std::string, Misbehaviour>> all = {
      {"wrong-key", {.certificate = CertificateFlaw::wrong_key}},
      {"wrong-chain", {.certificate = CertificateFlaw::wrong_issuer}},
      {"expired", {.certificate = CertificateFlaw::expired}},
      {"not-yet-valid", {.certificate = CertificateFlaw::not_yet_valid}},
      {"ca-certificate", {.certificate = CertificateFlaw::is_ca}},
      {"no-digital-signature", {.certificate = CertificateFlaw::no_digital_signature}},
      {"server-only", {.certificate = CertificateFlaw::server_only}},
      {"other-names", {.certificate = CertificateFlaw::other_names}},
      {"more-names", {.certificate = CertificateFlaw::more_names}},
      {"empty-body", {.body = BodyFlaw::empty}},
      {"empty-cms", {.body = BodyFlaw::empty_cms}},
      {"garbage", {.body = BodyFlaw::garbage}},
      {"not-cms", {.body = BodyFlaw::not_cms}},
      {"truncated", {.body = BodyFlaw::truncated}},
      {"oversized", {.body = BodyFlaw::oversized}},
      {"trailing-nul", {.body = BodyFlaw::trailing_nul}},
      {"one-line", {.body = BodyFlaw::one_line}},
      {"pem", {.body = BodyFlaw::pem}},
      {"crlf", {.body = BodyFlaw::crlf}},
      {"no-smime-type", {.media_type = "application/pkcs7-mime"}},
      {"unusual-type", {.media_type = "Application/PKCS7-MIME ; charset=binary;SMIME-Type=\"Certs-Only\""}},
      {"folded-type", {.media_type = "application/pkcs7-mime;\r\n\tsmime-type=certs-only"}},
      {"wrong-type", {.media_type = "text/html; charset=utf-8"}},
      {"no-type", {.media_type = ""}},
      {"no-transfer-encoding", {.transfer_encoding = false}},
      {"chunked", {.form = HttpForm::chunked}},
      {"http-1.0", {.form = HttpForm::http_1_0}},
      {"late", {.delay = std::chrono::seconds(2)}},
      {"status-202", {.status = 202, .text = "the operator has to approve this device\n", .retry_after = "120"}},
      {"status-202-without-time", {.status = 202}},
      {"status-204", {.status = 204}},
      {"status-400", {.status = 400, .text = "the subject is not in the inventory\n"}},
      {"status-400-in-json",
       {.status = 400,
        .text = "{\"message\":\"the subject is not in the inventory\"}",
        .media_type = "application/json"}},
      {"status-401", {.status = 401, .text = "who are you?\n"}},
      {"status-403", {.status = 403, .text = "this device is barred\n"}},
      {"status-404", {.status = 404, .text = "not found\n"}},
      {"status-500", {.status = 500, .text = "the CA has a problem\n"}},
      {"status-503", {.status = 503, .text = "back soon\n"}},
      {"status-503-with-time", {.status = 503, .text = "back soon\n", .retry_after = "90"}},
      {"redirect-elsewhere", {.status = 307, .location = "https://elsewhere.invalid/.well-known/est/simpleenroll"}},
      {"redirect-to-http", {.status = 307, .location = "http://127.0.0.1/.well-known/est/simpleenroll"}},
      {"no-http", {.raw = "SSH-2.0-OpenSSH_9.2p1\r\n"}},
      {"cut-at-once", {.cut_after = 0}},
      {"cut-in-head", {.cut_after = 20}},
      {"cut-in-body", {.cut_after = 400}},
      {"closed-in-head", {.cut_after = 20, .ending = Ending::close_notify}},
      {"closed-in-body", {.cut_after = 400, .ending = Ending::close_notify}},
      {"stalled", {.cut_after = 400, .ending = Ending::stall}},
  };
  return all;
}

const Misbehaviour& misbehaviour(std::string_view name) {
  const auto found =
      std::ranges::find_if(all_misbehaviours(), [name](const auto& entry) { return entry.first == name; });
  if (found == all_misbehaviours().end()) throw std::out_of_range("no misbehaviour is called " + std::string(name));
  return found->second;
}

}  // namespace devid::test
