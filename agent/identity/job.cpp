#include "agent/identity/job.h"

namespace devid {

std::string_view job_kind_name(JobKind kind) {
  switch (kind) {
    case JobKind::enroll: return "enroll";
    case JobKind::renew: return "renew";
    case JobKind::refresh: return "refresh";
  }
  return "enroll";
}

std::string_view phase_name(Phase phase) {
  switch (phase) {
    case Phase::connecting: return "connecting";
    case Phase::ca_certificates: return "ca-certificates";
    case Phase::creating_key: return "creating-key";
    case Phase::requesting: return "requesting";
    case Phase::pending: return "pending";
    case Phase::verifying: return "verifying";
    case Phase::proving: return "proving";
    case Phase::installing: return "installing";
  }
  return "connecting";
}

}  // namespace devid
