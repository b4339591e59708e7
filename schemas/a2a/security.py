"""How callers prove who they are where the transport does not: the security schemes of a card.

On the bus the subject proves it; these objects are for the doors of a gateway.

Source: A2A v1.0 §4.5; OpenAPI 3.2 security schemes.
"""

from __future__ import annotations

from .objects import A2AObject


class StringList(A2AObject, frozen=True, kw_only=True):
    """Names, in a map's value."""

    list: tuple[str, ...] = ()


class SecurityRequirement(A2AObject, frozen=True, kw_only=True):
    """Scheme names with the scopes that are needed; all of them together."""

    schemes: dict[str, StringList] = {}


class APIKeySecurityScheme(A2AObject, frozen=True, kw_only=True):
    """A key in a header, a query parameter or a cookie."""

    location: str
    name: str
    description: str = ""


class HTTPAuthSecurityScheme(A2AObject, frozen=True, kw_only=True):
    """An HTTP authentication scheme."""

    scheme: str
    description: str = ""
    bearer_format: str = ""


class AuthorizationCodeOAuthFlow(A2AObject, frozen=True, kw_only=True):
    """OAuth 2.0 authorization code."""

    authorization_url: str
    token_url: str
    refresh_url: str = ""
    scopes: dict[str, str] = {}
    pkce_required: bool = False


class ClientCredentialsOAuthFlow(A2AObject, frozen=True, kw_only=True):
    """OAuth 2.0 client credentials."""

    token_url: str
    refresh_url: str = ""
    scopes: dict[str, str] = {}


class ImplicitOAuthFlow(A2AObject, frozen=True, kw_only=True):
    """OAuth 2.0 implicit; deprecated by the protocol."""

    authorization_url: str = ""
    refresh_url: str = ""
    scopes: dict[str, str] = {}


class PasswordOAuthFlow(A2AObject, frozen=True, kw_only=True):
    """OAuth 2.0 password; deprecated by the protocol."""

    token_url: str = ""
    refresh_url: str = ""
    scopes: dict[str, str] = {}


class DeviceCodeOAuthFlow(A2AObject, frozen=True, kw_only=True):
    """OAuth 2.0 device code."""

    device_authorization_url: str
    token_url: str
    refresh_url: str = ""
    scopes: dict[str, str] = {}


class OAuthFlows(A2AObject, frozen=True, kw_only=True):
    """Exactly one flow."""

    authorization_code: AuthorizationCodeOAuthFlow | None = None
    client_credentials: ClientCredentialsOAuthFlow | None = None
    implicit: ImplicitOAuthFlow | None = None
    password: PasswordOAuthFlow | None = None
    device_code: DeviceCodeOAuthFlow | None = None


class OAuth2SecurityScheme(A2AObject, frozen=True, kw_only=True):
    """OAuth 2.0."""

    flows: OAuthFlows
    description: str = ""
    oauth2_metadata_url: str = ""


class OpenIdConnectSecurityScheme(A2AObject, frozen=True, kw_only=True):
    """OpenID Connect discovery."""

    open_id_connect_url: str
    description: str = ""


class MutualTlsSecurityScheme(A2AObject, frozen=True, kw_only=True):
    """A client certificate."""

    description: str = ""


class SecurityScheme(A2AObject, frozen=True, kw_only=True):
    """Exactly one scheme."""

    api_key_security_scheme: APIKeySecurityScheme | None = None
    http_auth_security_scheme: HTTPAuthSecurityScheme | None = None
    oauth2_security_scheme: OAuth2SecurityScheme | None = None
    open_id_connect_security_scheme: OpenIdConnectSecurityScheme | None = None
    mtls_security_scheme: MutualTlsSecurityScheme | None = None
