#include "agent/identity/status.h"

namespace devid::identity {

std::string_view state_name(State state) {
  switch (state) {
    case State::unenrolled: return "unenrolled";
    case State::enrolling: return "enrolling";
    case State::pending: return "pending";
    case State::valid: return "valid";
    case State::renewing: return "renewing";
    case State::degraded: return "degraded";
    case State::expired: return "expired";
    case State::blocked: return "blocked";
    case State::waiting_for_clock: return "waiting-for-clock";
  }
  return "blocked";
}

void describe(Status& status, const Generation& generation, const std::filesystem::path& current) {
  status.generation = generation.number;
  status.subject = generation.leaf.subject();
  status.issuer = generation.leaf.issuer();
  status.serial_number = generation.leaf.serial_number();
  status.fingerprint = generation.leaf.fingerprint();
  status.not_before = generation.leaf.not_before();
  status.not_after = generation.leaf.not_after();
  status.key_uri = "file:" + (current / "token-key.pem").string();
  status.key_algorithm = algorithm_name(generation.provenance.public_key.algorithm);
  status.key_protection = generation.provenance.key_protection;
  status.certificate_file = current / "certificate.pem";
  status.chain_file = current / "certificate-chain.pem";
  status.trust_anchors_file = current / "trust-anchors.pem";
}

}  // namespace devid::identity
