#pragma once

#include <string>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::test {

/// A CA "/CN=Root" that has changed its key: "old", then "new", then "newest".
class ChangingCa {
 public:
  ChangingCa() {
    for (const char* each : {"old", "new", "newest"}) pki.make_ca(each, root_spec());
  }

  static CertificateSpec root_spec(const std::string& subject = "/CN=Root") {
    auto spec = TestPki::ca_spec("");
    spec.subject = subject;
    return spec;
  }
  [[nodiscard]] pki::Certificate ca(const std::string& name) const {
    return certificate_of(pki.ca(name).certificate_pem);
  }
  /// A certificate for the key of one CA, signed by another one; everything else as `spec` says.
  pki::Certificate link(const std::string& name, const std::string& issuer, CertificateSpec spec = root_spec()) {
    const std::string request =
        output_of({.argv = {"openssl", "req", "-new", "-key", pki.ca(name).key, "-subj", spec.subject}});
    spec.issuer = issuer;
    return certificate_of(pki.sign_request(request, spec).certificate_pem);
  }

  TestPki pki;
};

}  // namespace devid::test
