#include "tokens/pkcs11/pkcs11_token.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tokens/outside_key.h"
#include "tokens/pkcs11/certificate_object.h"
#include "tokens/pkcs11/generation.h"
#include "tokens/pkcs11/hsm.h"
#include "tokens/pkcs11/importing.h"
#include "tokens/pkcs11/key.h"
#include "tokens/pkcs11/key_listing.h"
#include "tokens/pkcs11/mechanism.h"
#include "tokens/pkcs11/uri_pem.h"

namespace devid {
namespace {

using pkcs11::Hsm;
using pkcs11::Login;
using pkcs11::ObjectName;
using pkcs11::Session;

Error another_token(const pkcs11::Slot& slot) {
  return {.code = Errc::token_wrong_key,
          .retry = Retry::after_operator,
          .what = "the key belongs to another token",
          .reason = "the configured one is " + slot_text(slot),
          .hint = "put the token back in which the key was made, or enroll again, so that a new key is made"};
}

/// A URI that names an object, of one class, in the token of the session or in any.
struct Place {
  pkcs11::Uri uri;
  ObjectName name;

  [[nodiscard]] bool is_in(const pkcs11::Slot& slot) const {
    return uri.matches(slot.id, slot.info) && uri.matches(slot.token);
  }
};

Result<Place> parse_place(std::string_view uri, CK_OBJECT_CLASS type, Errc code) {
  auto parsed = pkcs11::Uri::parse(uri, code);
  if (!parsed) return fail(std::move(parsed.error()));
  ObjectName name = parsed->object();
  const bool named = !name.id.empty() || !name.label.empty();
  if (named && parsed->type().value_or(type) == type) return Place{.uri = std::move(*parsed), .name = std::move(name)};
  return fail({.code = code,
               .retry = code == Errc::usage ? Retry::never : Retry::after_operator,
               .what = named ? "the PKCS#11 URI names an object of another type"
                             : "the PKCS#11 URI names no object: neither id nor object is in it",
               .hint = "name it by its CKA_ID or its label: \"pkcs11:id=%01\", \"pkcs11:object=LABEL\""});
}

/// What a key file of devid says.
Result<Place> place_in(std::string_view pem) {
  const auto uri = pkcs11::read_uri_pem(pem);
  if (!uri) return fail(uri.error());
  auto place = parse_place(*uri, CKO_PRIVATE_KEY, Errc::token_wrong_key);
  if (place && place->name.id.empty()) {
    return fail({.code = Errc::token_wrong_key,
                 .retry = Retry::after_operator,
                 .what = "this is not a key file of devid",
                 .reason = "its URI has no id"});
  }
  return place;
}

Error another_key(std::string reason) {
  return {.code = Errc::token_wrong_key,
          .retry = Retry::after_operator,
          .what = "the key in the token is another one than that of the key file",
          .reason = std::move(reason),
          .hint = "if the file was damaged, remove the generation and enroll again"};
}

/// A key file that was damaged, or is of another key, has a CKA_ID or a label that is there, but not both of one key.
Result<> check_not_another(Session& session, const ObjectName& name) {
  const auto same_id = session.objects_of(name.id);
  if (!same_id) return fail(same_id.error());
  if (object_of(*same_id, CKO_PRIVATE_KEY) != nullptr) return fail(another_key("its label differs"));
  if (name.label.empty()) return {};
  pkcs11::Template wanted;
  wanted.add(CKA_CLASS, CK_ULONG{CKO_PRIVATE_KEY}).add(CKA_LABEL, as_bytes(name.label));
  const auto same_label = session.find(std::move(wanted), 1024);
  if (!same_label) return fail(same_label.error());
  if (!same_label->empty()) return fail(another_key("its CKA_ID differs"));
  return {};
}

struct Opened {
  ObjectName name;
  pkcs11::KeyFacts facts;
};

Result<Opened> open_in(Session& session, const Place& place) {
  if (!place.is_in(session.slot())) return fail(another_token(session.slot()));
  const auto objects = objects_named(session, place.name);
  if (!objects) return fail(objects.error());
  const auto key = the_object(*objects, CKO_PRIVATE_KEY, place.name, Errc::token_no_such_key);
  if (!key) return fail(key.error());
  auto facts = facts_of(session, *key, *objects);
  if (!facts) return fail(std::move(facts.error()));
  return Opened{.name = key->name, .facts = std::move(*facts)};
}

Result<Opened> open_made_in(Session& session, const Place& place) {
  auto opened = open_in(session, place);
  if (opened || opened.error().code != Errc::token_no_such_key || session.is_lost()) return opened;
  if (auto gone = check_not_another(session, place.name); !gone) return fail(std::move(gone.error()));
  return opened;
}

/// A key that was just made, with the file that it is to be found by.
Result<std::unique_ptr<PrivateKey>> named_by_file(Hsm& hsm, Result<pkcs11::Generated> made) {
  if (!made) return fail(std::move(made.error()));
  const auto uri = pkcs11::key_uri(made->token, made->name);
  auto pem = uri ? pkcs11::write_uri_pem(*uri) : Result<std::string>(fail(uri.error()));
  if (pem) return std::make_unique<pkcs11::HsmKey>(hsm, std::move(made->name), std::move(made->facts), std::move(*pem));
  std::ignore = hsm.run(Login::needed, [&](Session& session) { return destroy_ours(session, made->name.id); });
  return fail(std::move(pem.error()));
}

std::string doing(std::string_view what, const ObjectName& name) {
  return fmt::format("{} {}", what, object_location(name));
}

}  // namespace

struct Pkcs11Token::State {
  Hsm hsm;
};

Pkcs11Token::Pkcs11Token(Pkcs11Spec spec) : state_(new State{.hsm = Hsm(std::move(spec))}) {}

Pkcs11Token::~Pkcs11Token() = default;

TokenDescription Pkcs11Token::description() const {
  const Pkcs11Spec& spec = state_->hsm.spec();
  return {.name = spec.name, .kind = "pkcs11", .location = state_->hsm.is_described() ? spec.uri : "pkcs11:"};
}

Result<std::unique_ptr<PrivateKey>> Pkcs11Token::create_key(const KeySpec& spec) {
  auto key = named_by_file(state_->hsm, pkcs11::generate(state_->hsm, spec));
  if (key) return key;
  return fail(while_doing(fmt::format("create an {} key in the token", algorithm_name(spec.algorithm)),
                          std::move(key.error())));
}

Result<std::unique_ptr<PrivateKey>> Pkcs11Token::import_key(const KeySpec& spec, const Secret& pkcs8) {
  const auto given = read_outside_key(spec.algorithm, pkcs8);
  if (!given) return fail(given.error());
  const std::string importing = fmt::format("import an {} key into the token", algorithm_name(spec.algorithm));
  auto key = named_by_file(state_->hsm, pkcs11::import_key(state_->hsm, spec, *given));
  if (!key) return fail(while_doing(importing, std::move(key.error())));
  auto same = check_taken_over(**key, given->public_key);
  if (same) return key;
  std::ignore = destroy_key((*key)->pem());
  return fail(while_doing(importing, std::move(same.error())));
}

Result<std::unique_ptr<PrivateKey>> Pkcs11Token::open_key(std::string_view pem) {
  const auto place = place_in(pem);
  if (!place) return fail(place.error());
  auto opened = state_->hsm.run(Login::needed, [&](Session& session) { return open_made_in(session, *place); });
  if (!opened) return fail(while_doing(doing("open the key", place->name), std::move(opened.error())));
  return std::make_unique<pkcs11::HsmKey>(state_->hsm, std::move(opened->name), std::move(opened->facts),
                                          std::string(pem));
}

Result<std::unique_ptr<PrivateKey>> Pkcs11Token::open_key_at(std::string_view location) {
  const auto place = parse_place(location, CKO_PRIVATE_KEY, Errc::usage);
  if (!place) return fail(place.error());
  auto opened = state_->hsm.run(Login::needed, [&](Session& session) { return open_in(session, *place); });
  if (!opened) return fail(while_doing("open the key at " + printable(location), std::move(opened.error())));
  return std::make_unique<pkcs11::HsmKey>(state_->hsm, std::move(opened->name), std::move(opened->facts),
                                          std::string());
}

Result<Bytes> Pkcs11Token::read_certificate(std::string_view location) {
  const auto place = parse_place(location, CKO_CERTIFICATE, Errc::usage);
  if (!place) return fail(place.error());
  // With the login that the key beside it will need anyway, what was found need not be looked for again.
  auto content = state_->hsm.run(Login::possible, [&](Session& session) -> Result<Bytes> {
    if (!place->is_in(session.slot())) return fail(another_token(session.slot()));
    return pkcs11::read_certificate(session, place->name);
  });
  if (!content) return fail(while_doing("read the certificate at " + printable(location), std::move(content.error())));
  return content;
}

Result<> Pkcs11Token::destroy_key(std::string_view pem) {
  const auto place = place_in(pem);
  if (!place) return fail(place.error());
  auto destroyed = state_->hsm.run(Login::needed, [&](Session& session) -> Result<> {
    if (!place->is_in(session.slot())) return fail(another_token(session.slot()));
    return destroy_ours(session, place->name.id);
  });
  if (!destroyed) return fail(while_doing(doing("destroy the key", place->name), std::move(destroyed.error())));
  return {};
}

Result<std::vector<KeyListing>> Pkcs11Token::list_keys() {
  auto keys = state_->hsm.run(Login::needed, pkcs11::list_keys);
  if (!keys) return fail(while_doing("list the keys in the token", std::move(keys.error())));
  return keys;
}

Result<std::vector<CertificateListing>> Pkcs11Token::list_certificates() {
  auto certificates = state_->hsm.run(Login::none, pkcs11::list_certificates);
  if (!certificates) return fail(while_doing("list the certificates in the token", std::move(certificates.error())));
  return certificates;
}

std::vector<std::string> Pkcs11Token::derivable_keys(KeyAlgorithm /*algorithm*/) const { return {}; }

Result<> Pkcs11Token::store_certificate(std::string_view pem, BytesView certificate) {
  if (!state_->hsm.spec().store_certificates) return {};
  const auto place = place_in(pem);
  if (!place) return fail(place.error());
  auto stored = state_->hsm.run(Login::needed, [&](Session& session) -> Result<> {
    if (!place->is_in(session.slot())) return fail(another_token(session.slot()));
    return pkcs11::store_certificate(session, place->name, certificate);
  });
  if (!stored)
    return fail(while_doing(doing("write a certificate beside the key", place->name), std::move(stored.error())));
  return {};
}

Result<TokenReport> Pkcs11Token::inspect() {
  auto report = state_->hsm.look([&](CK_FUNCTION_LIST& functions, const pkcs11::Slot& slot) -> Result<TokenReport> {
    auto algorithms = pkcs11::algorithms_of(functions, slot.id);
    if (!algorithms) return fail(std::move(algorithms.error()));
    const CK_TOKEN_INFO& token = slot.token;
    TokenReport said{.manufacturer = printable(pkcs11::text_of(token.manufacturerID)),
                     .model = printable(pkcs11::text_of(token.model)),
                     .serial_number = printable(slot.serial()),
                     .firmware = fmt::format("{}.{}", token.firmwareVersion.major, token.firmwareVersion.minor),
                     .algorithms = std::move(*algorithms),
                     .remarks = pkcs11::remarks_of(token)};
    if (state_->hsm.refused_pins().knows(slot.identity()))
      said.remarks.emplace_back("the token refused the PIN that devid was given; devid does not try it again");
    return said;
  });
  if (!report) return fail(while_doing("ask the token what it is", std::move(report.error())));
  return report;
}

}  // namespace devid
