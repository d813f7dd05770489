#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/est/traffic.h"

namespace devid {

/// refresh: a look at the CA's certificates and revocations (refresh.h), while nothing is due.
enum class JobKind { enroll, renew, refresh };
/// "enroll", "renew", "refresh".
std::string_view job_kind_name(JobKind kind);

enum class Phase { connecting, ca_certificates, creating_key, requesting, pending, verifying, proving, installing };
/// "connecting", "ca-certificates", "creating-key", …: the D-Bus property Phase.
std::string_view phase_name(Phase phase);

struct JobOptions {
  bool force = false;  ///< drop a pending request; enroll although a valid credential is there
  /// Whether a renewal makes a new key; none: as the profile says.
  std::optional<bool> rekey;
};

/// What an operator should know of, although no job fails of it: "the IDevID is another one now". Safe to print.
struct Notice {
  std::string sentence;
  /// Fields for whoever searches the journal: "DEVID_TOKEN", "tpm".
  struct Field {
    std::string name;
    std::string value;
    bool operator==(const Field&) const = default;
  };
  std::vector<Field> fields;
  bool operator==(const Notice&) const = default;
};

/// Who watches a job. Called on the worker thread.
class JobObserver {
 public:
  JobObserver() = default;
  JobObserver(const JobObserver&) = delete;
  JobObserver& operator=(const JobObserver&) = delete;
  JobObserver(JobObserver&&) = delete;
  JobObserver& operator=(JobObserver&&) = delete;
  virtual ~JobObserver() = default;
  virtual void entered(Phase phase) = 0;
  virtual void noticed(const Notice& notice) = 0;
  /// Once, at the end: what went over the lines to EST servers; not what was asked of responders and for CRLs.
  virtual void spent(const est::Traffic& traffic) = 0;
  /// Asked at every point where a job can stop without harm, and while it waits for the network.
  [[nodiscard]] virtual bool cancelled() const = 0;
};

/// How a job ended when it did not fail.
enum class JobResult { done, pending };

}  // namespace devid
