#include "tests/support/est_service.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "tests/support/est_cmc.h"

namespace devid::test {
namespace {

constexpr std::array<std::pair<EstOperation, std::string_view>, 6> operations = {{
    {EstOperation::cacerts, "cacerts"},
    {EstOperation::csrattrs, "csrattrs"},
    {EstOperation::simpleenroll, "simpleenroll"},
    {EstOperation::simplereenroll, "simplereenroll"},
    {EstOperation::serverkeygen, "serverkeygen"},
    {EstOperation::fullcmc, "fullcmc"},
}};

Reply refuse(unsigned status, std::string text) {
  return {.status = status, .media_type = "text/plain", .content = {}, .text = std::move(text) + "\n"};
}

bool is_wrapped(std::string_view body) {
  constexpr std::size_t longest_line = 76;
  std::size_t line = 0;
  for (const char c : body) {
    line = c == '\n' || c == '\r' ? 0 : line + 1;
    if (line > longest_line) return false;
  }
  return true;
}

/// Why one of the known servers would refuse the form of a request, or nothing.
std::optional<Reply> form_error(const SeenRequest& request, const std::string& type = "application/pkcs10") {
  if (request.header("transfer-encoding") || !request.header("content-length"))
    return refuse(411, "a Content-Length is wanted");
  if (request.header("expect")) return refuse(417, "no expectations, please");
  if (request.header("content-type") != type) return refuse(415, type + " is wanted");
  if (request.header("content-transfer-encoding") != "base64") return refuse(415, "base64 is wanted");
  if (!is_wrapped(request.body)) return refuse(400, "the base64 is not wrapped");
  return std::nullopt;
}

}  // namespace

std::string operation_name(EstOperation operation) {
  return std::string(operations.at(static_cast<std::size_t>(operation)).second);
}

std::optional<EstOperation> operation_from_name(std::string_view name) {
  for (const auto& [operation, its_name] : operations)
    if (its_name == name) return operation;
  return std::nullopt;
}

std::optional<std::string> SeenRequest::header(std::string_view name) const {
  const auto found = std::ranges::find_if(headers, [name](const auto& header) { return header.first == name; });
  if (found == headers.end()) return std::nullopt;
  return found->second;
}

EstService::EstService(const EstServerSpec& spec)
    : label_(spec.label),
      csr_attributes_(spec.csr_attributes),
      keygen_recipients_(spec.keygen_recipients),
      client_auth_(spec.client_auth),
      login_(spec.login),
      demand_binding_(spec.demand_binding),
      issuer_(spec.issuer),
      manufacturer_(load_certificates(spec.manufacturer_ca)),
      manufacturer_store_(store_of(manufacturer_)) {
  if (!spec.issuer_chain.empty() && std::filesystem::file_size(spec.issuer_chain) > 0)
    issuer_chain_ = load_certificates(spec.issuer_chain);
  operator_store_ = store_of(load_certificates(spec.issuer.certificate));
}

EstService::Store EstService::store_of(const std::vector<X509Cert>& anchors) {
  Store store(X509_STORE_new());
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  for (const auto& anchor : anchors)
    if (X509_STORE_add_cert(store.get(), anchor.get()) != 1) throw std::runtime_error("a CA cannot be trusted");
  return store;
}

void EstService::trust_clients(SSL_CTX* context) const {
  if (client_auth_ == ClientAuth::ignore) return;
  auto* names = sk_X509_NAME_new_null();
  Store store(X509_STORE_new());
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  const auto trust = [&](X509* ca) {
    X509_STORE_add_cert(store.get(), ca);
    sk_X509_NAME_push(names, X509_NAME_dup(X509_get_subject_name(ca)));
  };
  for (const auto& ca : manufacturer_) trust(ca.get());
  trust(issuer_.certificate());
  SSL_CTX_set_cert_store(context, store.release());
  SSL_CTX_set_client_CA_list(context, names);
  SSL_CTX_set_verify(
      context, SSL_VERIFY_PEER | (client_auth_ == ClientAuth::demand ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
}

std::optional<EstOperation> EstService::operation_of(std::string_view target) const {
  constexpr std::string_view well_known = "/.well-known/est/";
  if (!target.starts_with(well_known)) return std::nullopt;
  target.remove_prefix(well_known.size());
  const auto slash = target.find('/');
  const std::string_view label = slash == std::string_view::npos ? "" : target.substr(0, slash);
  if (!label_.empty() && label != label_) return std::nullopt;
  return operation_from_name(slash == std::string_view::npos ? target : target.substr(slash + 1));
}

bool EstService::chains_to(X509_STORE* store, const TlsPeer& peer) {
  const Owned<X509_STORE_CTX, X509_STORE_CTX_free> context(X509_STORE_CTX_new());
  const bool chains = X509_STORE_CTX_init(context.get(), store, peer.certificate, peer.chain) == 1 &&
                      X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  return chains;
}

bool EstService::may(EstOperation operation, const TlsPeer& peer) const {
  if (chains_to(operator_store_.get(), peer)) return true;
  return operation != EstOperation::simplereenroll && chains_to(manufacturer_store_.get(), peer);
}

std::optional<Reply> EstService::refuse_client(EstOperation operation, const SeenRequest& request,
                                               const TlsPeer& peer) const {
  if (login_) {
    const auto challenge = challenge_for(*login_, {.method = request.method,
                                                   .target = request.target,
                                                   .authorization = request.header("authorization").value_or("")});
    if (!challenge) return std::nullopt;
    auto reply = refuse(401, "a user and a password are wanted");
    reply.challenge = *challenge;
    return reply;
  }
  if (peer.certificate == nullptr) return refuse(401, "a client certificate is wanted");
  if (!may(operation, peer)) return refuse(403, "this certificate may not do that");
  return std::nullopt;
}

Reply EstService::enroll(EstOperation operation, const SeenRequest& request, const TlsPeer& peer,
                         CertificateFlaw flaw) {
  if (request.method != "POST") return refuse(405, "POST, please");
  if (auto error = refuse_client(operation, request, peer)) return *error;
  if (auto error = form_error(request)) return *error;
  const Request csr = read_request(from_base64(request.body));
  if (!csr) return refuse(400, "this is no certification request, or its signature is wrong");
  if (demand_binding_ && !is_bound(csr.get(), peer.bindings))
    return refuse(401, "the proof of possession does not fit the TLS connection");
  if (operation == EstOperation::simplereenroll && peer.certificate != nullptr &&
      !same_names(csr.get(), peer.certificate))
    return refuse(400, "subject and alternative names must be those of the client certificate");
  const X509Cert certificate = flaw == CertificateFlaw::same_again ? last_issued() : issuer_.issue(csr.get(), flaw);
  remember(certificate.get());
  return {.status = 200,
          .media_type = "application/pkcs7-mime; smime-type=certs-only",
          .content = certs_only({certificate.get()}),
          .text = {}};
}

Reply EstService::make_key(const SeenRequest& request, const TlsPeer& peer, const Misbehaviour& misbehaviour) {
  if (request.method != "POST") return refuse(405, "POST, please");
  if (peer.certificate == nullptr) return refuse(401, "a client certificate is wanted");
  if (!may(EstOperation::serverkeygen, peer)) return refuse(403, "this certificate may not do that");
  if (auto error = form_error(request)) return *error;
  const Request csr = read_request(from_base64(request.body));
  if (!csr) return refuse(400, "this is no certification request, or its signature is wrong");
  const bool as_libest = misbehaviour.keygen == KeygenHabit::libest;
  const Pkey key = as_libest ? any_rsa_key() : key_like(csr.get());
  const X509Cert certificate = issuer_.issue(with_key(csr.get(), key.get()).get(), misbehaviour.certificate);
  if (as_libest) {
    remember(certificate.get());
    return {.status = 200,
            .media_type = libest_keygen_media_type,
            .content = {},
            .text = libest_keygen_body(key.get(), certificate.get())};
  }
  const bool encrypts = misbehaviour.keygen != KeygenHabit::not_encrypted;
  auto body = encrypts ? keygen_body(csr.get(), key.get(), certificate.get(), issuer_, keygen_recipients_)
                       : keygen_body(without_attributes(csr.get()).get(), key.get(), certificate.get(), issuer_, {});
  if (!body) return refuse(400, "the decryption key is not known here");
  remember(certificate.get());
  return {.status = 200, .media_type = keygen_media_type, .content = {}, .text = std::move(*body)};
}

Reply EstService::full_cmc(const SeenRequest& request, const TlsPeer& peer, const Misbehaviour& misbehaviour) {
  if (request.method != "POST") return refuse(405, "POST, please");
  if (peer.certificate == nullptr) return refuse(401, "a client certificate is wanted");
  if (auto error = form_error(request, "application/pkcs7-mime; smime-type=CMC-request")) return *error;
  const auto message = read_cmc_message(from_base64(request.body));
  if (!message) return refuse(400, "this is no Full PKI Request, or a signature is wrong");
  if (!may(EstOperation::fullcmc, {.certificate = message->signer.get(), .chain = message->certificates.get()}))
    return refuse(403, "the signer may not do that");
  const bool issued = misbehaviour.cmc == CmcOutcome::issued;
  const X509Cert certificate(issued ? issuer_.issue(message->request.get(), misbehaviour.certificate) : nullptr);
  if (issued) remember(certificate.get());
  return {.status = misbehaviour.cmc == CmcOutcome::failed ? 400U : 200U,
          .media_type = "application/pkcs7-mime; smime-type=CMC-response",
          .content = cmc_response(*message, misbehaviour.cmc, issuer_, certificate.get()),
          .text = {}};
}

X509Cert EstService::last_issued() const {
  const std::scoped_lock lock(mutex_);
  if (issued_.empty()) throw std::runtime_error("nothing was issued yet");
  const Bio bio(BIO_new_mem_buf(issued_.back().data(), static_cast<int>(issued_.back().size())));
  return X509Cert(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

void EstService::remember(X509* certificate) {
  const std::scoped_lock lock(mutex_);
  issued_.push_back(pem_text(certificate));
}

Reply EstService::answer(const SeenRequest& request, const TlsPeer& peer, const Misbehaviour& misbehaviour) {
  const auto operation = operation_of(request.target);
  if (!operation) return refuse(404, "there is no such service");
  if (misbehaviour.status) {
    auto reply = refuse(*misbehaviour.status, "");
    reply.text = misbehaviour.text;
    return reply;
  }
  if (*operation == EstOperation::simpleenroll || *operation == EstOperation::simplereenroll)
    return enroll(*operation, request, peer, misbehaviour.certificate);
  if (*operation == EstOperation::serverkeygen) return make_key(request, peer, misbehaviour);
  if (*operation == EstOperation::fullcmc) return full_cmc(request, peer, misbehaviour);
  if (request.method != "GET") return refuse(405, "GET, please");
  if (*operation == EstOperation::csrattrs) {
    if (csr_attributes_.empty()) return {.status = 204, .media_type = {}, .content = {}, .text = {}};
    return {.status = 200, .media_type = "application/csrattrs", .content = csr_attributes_, .text = {}};
  }
  std::vector<X509*> certificates = {issuer_.certificate()};
  for (const auto& certificate : issuer_chain_) certificates.push_back(certificate.get());
  return {.status = 200, .media_type = "application/pkcs7-mime", .content = certs_only(certificates), .text = {}};
}

std::vector<std::string> EstService::issued() const {
  const std::scoped_lock lock(mutex_);
  return issued_;
}

void EstService::forget() {
  const std::scoped_lock lock(mutex_);
  issued_.clear();
}

}  // namespace devid::test
