#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "tests/support/est_answer.h"
#include "tests/support/est_binding.h"
#include "tests/support/est_issuer.h"
#include "tests/support/est_keygen.h"
#include "tests/support/est_login.h"
#include "tests/support/est_misbehaviour.h"

namespace devid::test {

enum class EstOperation { cacerts, csrattrs, simpleenroll, simplereenroll, serverkeygen, fullcmc };
/// "cacerts" …
std::string operation_name(EstOperation operation);
std::optional<EstOperation> operation_from_name(std::string_view name);

/// One request as it arrived, and what became of it.
struct SeenRequest {
  std::size_t connection = 0;  ///< counted from 1
  std::string tls_version;     ///< "TLSv1.3"
  std::string client;          ///< RFC 4514 subject of the client's certificate, empty without one
  std::string method;
  std::string target;
  std::string version;                                       ///< "HTTP/1.1"
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
  std::string body;
  bool wants_more = true;  ///< over the same connection
  unsigned status = 0;     ///< of the answer that was meant

  /// The value of a header, or nothing.
  [[nodiscard]] std::optional<std::string> header(std::string_view name) const;
};

/// Whether the handshake asks for a client certificate; with `demand` it fails without one.
enum class ClientAuth { ask, demand, ignore };
enum class TlsVersion { any, tls_1_2, tls_1_3 };

/// Files are PEM.
struct EstServerSpec {
  std::filesystem::path certificate;  ///< the server's own, followed by its intermediates
  std::filesystem::path key;
  std::filesystem::path manufacturer_ca;  ///< whose certificates may use /simpleenroll
  EstIssuer::Spec issuer;                 ///< issues; its certificates may use both enrollment operations
  std::filesystem::path issuer_chain;     ///< what /cacerts returns after the issuing CA; may be empty
  std::uint16_t port = 0;                 ///< 0: any
  std::string label;                      ///< if not empty, the only one under which there is EST
  TlsVersion tls = TlsVersion::any;
  ClientAuth client_auth = ClientAuth::ask;
  Bytes csr_attributes;                                ///< DER; empty: 204
  Bytes stapled = {};                                  ///< an OCSP response, DER, or whatever else
  std::optional<EstLogin> login = {};                  ///< a client that knows it needs no certificate to enroll
  bool demand_binding = false;                         ///< requests have the channel binding (RFC 7030 3.5)
  std::function<void(const SeenRequest&)> on_request;  ///< called on a thread of the server's
  std::vector<KeygenRecipient> keygen_recipients;      ///< for whom /serverkeygen can encrypt
  std::string address = "127.0.0.1";
};

/// The client's end of a TLS connection.
struct TlsPeer {
  X509* certificate = nullptr;  ///< borrowed; null without one
  STACK_OF(X509) * chain = nullptr;
  ChannelBindings bindings = {};
};

/// What the EST server for tests does with a request, without the wire.
class EstService {
 public:
  explicit EstService(const EstServerSpec& spec);

  /// Makes a server context ask for client certificates of the CAs that are known here.
  void trust_clients(SSL_CTX* context) const;

  /// The operation that a request names, under the label that there is.
  [[nodiscard]] std::optional<EstOperation> operation_of(std::string_view target) const;

  Reply answer(const SeenRequest& request, const TlsPeer& peer, const Misbehaviour& misbehaviour);

  [[nodiscard]] std::vector<std::string> issued() const;
  void forget();

 private:
  using Store = Owned<X509_STORE, X509_STORE_free>;
  static Store store_of(const std::vector<X509Cert>& anchors);
  static bool chains_to(X509_STORE* store, const TlsPeer& peer);
  [[nodiscard]] std::optional<Reply> refuse_client(EstOperation operation, const SeenRequest& request,
                                                   const TlsPeer& peer) const;
  [[nodiscard]] bool may(EstOperation operation, const TlsPeer& peer) const;
  Reply enroll(EstOperation operation, const SeenRequest& request, const TlsPeer& peer, CertificateFlaw flaw);
  Reply make_key(const SeenRequest& request, const TlsPeer& peer, const Misbehaviour& misbehaviour);
  Reply full_cmc(const SeenRequest& request, const TlsPeer& peer, const Misbehaviour& misbehaviour);
  [[nodiscard]] X509Cert last_issued() const;
  void remember(X509* certificate);

  std::string label_;
  Bytes csr_attributes_;
  std::vector<KeygenRecipient> keygen_recipients_;
  ClientAuth client_auth_;
  std::optional<EstLogin> login_;
  bool demand_binding_;
  EstIssuer issuer_;
  std::vector<X509Cert> manufacturer_;
  std::vector<X509Cert> issuer_chain_;
  Store manufacturer_store_;
  Store operator_store_;
  mutable std::mutex mutex_;
  std::vector<std::string> issued_;
};

}  // namespace devid::test
