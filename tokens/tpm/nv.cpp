#include "tokens/tpm/nv.h"

#include <algorithm>

#include "base/bytes.h"
#include "tokens/tpm/auth_value.h"
#include "tokens/tpm/object.h"
#include "tokens/tpm/resource.h"

namespace devid::tpm {
namespace {

constexpr std::size_t largest_certificate = std::size_t{16} * 1024;
/// What TPMs read at once (TPM_PT_NV_BUFFER_MAX). Those that read less say so by an error.
constexpr UINT16 usual_chunk = 1024;
constexpr UINT16 next_usual_chunk = 768;
constexpr UINT16 smallest_chunk = 32;

/// Who is asked for an index, and how. A certificate is no secret, and an empty auth value is none: a password
/// authorization does for that, without a session.
struct Reader {
  ESYS_TR tr;
  Session* session = nullptr;

  [[nodiscard]] ESYS_TR authorization() const {
    return session != nullptr ? session->for_command(Encrypt::nothing) : ESYS_TR_PASSWORD;
  }
};

Result<Reader> reader_of(Connection& connection, const TPMS_NV_PUBLIC& area, ESYS_TR index) {
  if ((area.attributes & TPMA_NV_AUTHREAD) != 0) return Reader{.tr = index};
  if ((area.attributes & TPMA_NV_OWNERREAD) != 0) {
    const auto guard = connection.owner_session();
    if (!guard) return fail(guard.error());
    return Reader{.tr = ESYS_TR_RH_OWNER, .session = *guard};
  }
  return fail({.code = Errc::token_unsupported,
               .retry = Retry::after_operator,
               .what = "the NV index can be read with a policy or the platform's authorization only",
               .hint = "use a certificate file instead"});
}

Error read_failed(Connection& connection, const Call& call, const Reader& reader) {
  Error error = to_error(call);
  if (connection.forget_lost_session(call) || reader.tr != ESYS_TR_RH_OWNER || !is_auth_failure(call.rc)) return error;
  error.what = "the owner may read the NV index, and has another auth value";
  error.hint = "name it in owner_auth of [tpm] in devid.toml, or use a certificate file instead";
  return error;
}

bool is_chunk_too_large(TSS2_RC rc) {
  const TSS2_RC code = base_code(rc);
  return (code == TPM2_RC_VALUE && !is_missing_object(rc)) || code == TPM2_RC_SIZE || code == TPM2_RC_NV_RANGE;
}

Result<Bytes> read_chunks(Connection& connection, const Reader& reader, ESYS_TR index, std::size_t size) {
  Bytes content;
  UINT16 chunk = usual_chunk;
  while (content.size() < size) {
    const auto offset = static_cast<UINT16>(content.size());
    const auto wanted = static_cast<UINT16>(std::min<std::size_t>(chunk, size - content.size()));
    TPM2B_MAX_NV_BUFFER* raw = nullptr;
    const Call read = connection.context().call("Esys_NV_Read", [&](ESYS_CONTEXT* esys) {
      return Esys_NV_Read(esys, reader.tr, index, reader.authorization(), ESYS_TR_NONE, ESYS_TR_NONE, wanted, offset,
                          &raw);
    });
    const Esys<TPM2B_MAX_NV_BUFFER> data(raw);
    if (is_chunk_too_large(read.rc) && wanted > smallest_chunk) {
      chunk = wanted > next_usual_chunk ? next_usual_chunk : static_cast<UINT16>(wanted / 2);
      continue;
    }
    if (!read.ok()) return fail(read_failed(connection, read, reader));
    if (data->size == 0 || data->size > wanted) {
      return fail(
          {.code = Errc::token_failed, .retry = Retry::later, .what = "the TPM returned another length of data"});
    }
    const Bytes piece = to_bytes(data->buffer, data->size);
    content.insert(content.end(), piece.begin(), piece.end());
  }
  return content;
}

}  // namespace

Result<Bytes> read_nv(Connection& connection, TPM2_HANDLE index) {
  Context& context = connection.context();
  const auto tr = open_handle(context, index);
  if (!tr) {
    Error error = tr.error();
    if (error.code != Errc::token_no_such_key) return fail(std::move(error));
    error.code = Errc::idevid_missing;
    error.what = "there is no such NV index";
    error.hint = "list the indices of this TPM with tpm2_getcap handles-nv-index";
    return fail(std::move(error));
  }
  const PersistentObject opened(context, *tr);
  const auto area = nv_public_of(context, opened.tr());
  if (!area) return fail(area.error());
  const auto reader = reader_of(connection, area->nvPublic, opened.tr());
  if (!reader) return fail(reader.error());
  if ((area->nvPublic.attributes & TPMA_NV_WRITTEN) == 0) {
    return fail(to_error({.name = "Esys_NV_ReadPublic", .rc = TPM2_RC_NV_UNINITIALIZED}));
  }
  const std::size_t size = area->nvPublic.dataSize;
  if (size > largest_certificate) {
    return fail({.code = Errc::answer_too_large,
                 .retry = Retry::after_operator,
                 .what = "the NV index holds " + std::to_string(size) + " bytes, more than any certificate needs"});
  }
  auto content = read_chunks(connection, *reader, opened.tr(), size);
  forget_auth_value(context, ESYS_TR_RH_OWNER);
  return content;
}

}  // namespace devid::tpm
