#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include "agent/identity/status.h"
#include "dbus/wire.h"
#include "org.devid1.Identity.adaptor.h"

namespace devid {

class Service;

/// One identity on the bus. It answers from the last Status that it was given.
class IdentityObject final : public sdbus::AdaptorInterfaces<org::devid1::Identity_adaptor> {
 public:
  IdentityObject(sdbus::IConnection& connection, Service& service, identity::Status status);
  IdentityObject(const IdentityObject&) = delete;
  IdentityObject& operator=(const IdentityObject&) = delete;
  IdentityObject(IdentityObject&&) = delete;
  IdentityObject& operator=(IdentityObject&&) = delete;
  ~IdentityObject();

  [[nodiscard]] const identity::Status& status() const { return status_; }
  /// Takes over a newer status of the same identity and tells the bus what changed; Rotated where the generation did.
  void update(identity::Status status);

  void announce() { getObject().emitInterfacesAddedSignal(); }
  void withdraw() { getObject().emitInterfacesRemovedSignal(); }

 private:
  sdbus::ObjectPath Enroll(const wire::Dictionary& options) override;
  sdbus::ObjectPath Renew(const wire::Dictionary& options) override;
  std::vector<std::string> Explain() override;
  wire::Dictionary GetCredential() override;
  void Trust(sdbus::Result<wire::Dictionary>&& result, std::string fingerprint) override;
  void Rollback(sdbus::Result<std::uint64_t>&& result, wire::Dictionary options) override;
  void Forget(sdbus::Result<wire::Dictionary>&& result, wire::Dictionary options) override;
  std::string Name() override { return status_.name; }
  std::string State() override { return std::string(identity::state_name(status_.state)); }
  std::string Reason() override { return status_.reason; }
  std::uint64_t Generation() override { return status_.generation; }
  std::string Subject() override { return status_.subject; }
  std::string Issuer() override { return status_.issuer; }
  std::string SerialNumber() override { return status_.serial_number; }
  std::string Fingerprint() override { return status_.fingerprint; }
  std::uint64_t NotBefore() override { return seconds(status_.not_before); }
  std::uint64_t NotAfter() override { return seconds(status_.not_after); }
  std::string KeyUri() override { return status_.key_uri; }
  std::string KeyAlgorithm() override { return status_.key_algorithm; }
  std::string KeyProtection() override { return status_.key_protection; }
  std::string CertificateFile() override { return status_.certificate_file; }
  std::string ChainFile() override { return status_.chain_file; }
  std::string TrustAnchorsFile() override { return status_.trust_anchors_file; }
  std::uint64_t NextAttempt() override { return seconds(status_.next_attempt); }
  std::uint64_t LastAttempt() override { return seconds(status_.last_attempt); }
  std::uint64_t LastSuccess() override { return seconds(status_.last_success); }
  sdbus::Struct<std::string, std::string> LastError() override;
  std::uint32_t Attempts() override { return status_.attempts; }
  std::vector<wire::Dictionary> PendingTrust() override;
  std::vector<wire::Dictionary> Consumers() override;

  static std::uint64_t seconds(const std::optional<Time>& time);

  Service& service_;
  identity::Status status_;
};

}  // namespace devid
