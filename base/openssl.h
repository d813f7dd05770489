#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "base/owned.h"

namespace devid {

using Bio = Owned<BIO, BIO_free_all>;
using Pkey = Owned<EVP_PKEY, EVP_PKEY_free>;
using X509Cert = Owned<X509, X509_free>;

/// The whole error queue of this thread as text, each entry with its data, oldest first, joined by "; ".
/// Drains the queue. "no reason given" if it was empty.
std::string openssl_reason();

/// An Error whose reason is openssl_reason(). The one place where OpenSSL's failures become ours.
Error openssl_error(Errc code, Retry retry, std::string_view what);

/// The pem_password_cb of whoever has no passphrase. Without one OpenSSL asks at the terminal, for whatever PEM says
/// that it is encrypted.
int no_passphrase(char* buffer, int size, int writing, void* context);

/// What was written to a memory BIO.
Bytes bio_bytes(BIO* bio);

}  // namespace devid
