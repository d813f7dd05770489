#pragma once

#include <cstddef>
#include <filesystem>
#include <list>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"

namespace devid::test {

/// One token of a SoftHSM, as whoever initialised it knows it.
struct HsmToken {
  std::string label;
  std::string serial_number;
  std::string pin;
  std::string so_pin;
  std::filesystem::path pin_file;  ///< the PIN and a line break, mode 0600

  /// RFC 7512: "pkcs11:token=LABEL".
  [[nodiscard]] std::string uri() const { return "pkcs11:token=" + label; }
};

/// What a factory puts into an HSM, and where.
struct ManufacturedHsm {
  std::string location;  ///< of the key and of the certificate: "pkcs11:id=%01"
  TestCredential certificate;
};

/// What may be left out of a factory key, and what it is.
struct FactoryKey {
  std::string id = "01";              ///< CKA_ID in hex
  std::string type = "EC:secp256r1";  ///< as pkcs11-tool --key-type
  bool public_object = true;
  bool certificate_object = true;
};

/// A SoftHSM 2 of the test's own: a configuration, a directory of tokens, random PINs. SoftHSM is one for each process
/// that loads it, and reads SOFTHSM2_CONF in C_Initialize: the newest SoftHsm is the one of this process and of those
/// that it starts. What is done here is done by softhsm2-util and pkcs11-tool, in processes of their own, as an
/// operator would do it behind devid's back. A failure throws std::runtime_error.
class SoftHsm {
 public:
  /// With one token.
  explicit SoftHsm(const std::string& label = "dev");

  /// The shared objects: SoftHSM's, another copy of it that a process can load beside it (it sees the same tokens),
  /// p11-kit's proxy, and OpenSC's spy.
  static std::filesystem::path module();
  [[nodiscard]] std::filesystem::path copy_of_module() const;
  static std::filesystem::path p11_kit_proxy();
  static std::filesystem::path spy();
  /// Has p11-kit, in this process and in those that it starts from now on, know this one module: a directory of the
  /// test is mounted over that of its configuration. The caller has one thread, and is root or may make user
  /// namespaces.
  static void configure_p11_kit(const std::filesystem::path& only_module);

  /// "SOFTHSM2_CONF=…", for a process that is not started from this one's environment.
  [[nodiscard]] std::string environment() const;
  /// Where SoftHSM keeps its tokens: one directory each.
  [[nodiscard]] std::filesystem::path token_directory() const { return directory_.path() / "tokens"; }

  [[nodiscard]] const HsmToken& token() const { return tokens_.front(); }
  /// Another one, which may have the label of one that is there.
  const HsmToken& add_token(const std::string& label);

  /// Makes a key in the token and has `issuer` of `pki` certify it.
  ManufacturedHsm manufacture(TestPki& pki, const std::string& issuer, const FactoryKey& key = {});
  ManufacturedHsm manufacture(const HsmToken& token, TestPki& pki, const std::string& issuer, const FactoryKey& key);
  /// Writes any octets as the certificate object with this CKA_ID.
  void put_certificate(const HsmToken& token, const std::string& id, const std::filesystem::path& der);

  /// What pkcs11-tool lists, private objects included.
  [[nodiscard]] std::string listing(const HsmToken& token) const;
  /// How many objects of a kind there are: "Private Key", "Public Key", "Certificate".
  [[nodiscard]] std::size_t count(const HsmToken& token, const std::string& kind) const;
  /// Deletes an object behind devid's back; `type` as pkcs11-tool has it: "privkey", "pubkey", "cert".
  void delete_object(const HsmToken& token, const std::string& type, const std::string& id);
  /// The user has another PIN from now on. The PIN file keeps the old one.
  void change_pin(const std::string& pin);
  /// Writes another PIN into the token's PIN file.
  static void write_pin_file(const HsmToken& token, const std::string& pin);

 private:
  [[nodiscard]] std::string tool(const HsmToken& token, std::vector<std::string> arguments) const;
  [[nodiscard]] std::string public_key_pem_of(const HsmToken& token, const std::string& id) const;

  TemporaryDirectory directory_;
  std::list<HsmToken> tokens_;  // stays where it is when another is added
};

/// Where the objects with a CKA_ID, given in hex, are to be found: "01ab" → "pkcs11:id=%01%AB".
std::string hsm_location(const std::string& id);

}  // namespace devid::test
